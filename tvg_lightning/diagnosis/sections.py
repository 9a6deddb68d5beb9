"""One task in one stage of a run: everything that is counted about it, and the findings in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvg_lightning.diagnosis import judges
from tvg_lightning.diagnosis.findings import NUM_EXAMPLES, Example, Finding, Tally, example_of
from tvg_lightning.diagnosis.trends import Ranges, Trend, foreign_share
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, Task
from tvg_lightning.traces import Trace

_STARTS = ("no thought", "text before", "<think> is missing", "no <", "nothing", "times, but", "no JSON")
_FOREIGN = 0.1  # this share of foreign letters makes a text foreign


@dataclass(frozen=True)
class DiagnosisRule:
    """Thresholds from which something is reported. Our own choice; no paper has such ones.

    Args:
        min_share: a fault is reported that at least this share of the completions shows.
        min_constant: groups whose rewards are all equal are reported from this share of them on; some always are.
        window: so many of the first completions are compared with as many of the last.
        min_drift: a rise of the share of foreign letters between these is reported from here on.
        growth: a ratio of their mean lengths, either way, is reported from here on.
        fewest: with fewer completions nothing is reported.
    """

    min_share: float = 0.05
    min_constant: float = 0.25
    window: int = 256
    min_drift: float = 0.05
    growth: float = 1.5
    fewest: int = 16

    def __post_init__(self) -> None:
        for name in ("min_share", "min_constant", "min_drift"):
            if not 0.0 < self.__dict__[name] <= 1.0:
                raise ValueError(f"rule.{name}: expected a share above 0, at most 1; got {self.__dict__[name]}")
        if self.growth <= 1.0:
            raise ValueError(f"rule.growth: expected a ratio above 1, got {self.growth}")
        if self.window < 1 or self.fewest < 1:
            raise ValueError("rule.window and rule.fewest: expected 1 or more")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The section in numbers. Rewards and IoUs are the means of the first and of the last completions."""

    stage: str
    task: Task
    num_traces: int
    num_groups: int
    first_step: int
    last_step: int
    reward: tuple[float, float]
    answer_iou: tuple[float, float] | None
    findings: tuple[Finding, ...]
    not_judged: tuple[str, ...]


class Section:
    """Takes the groups of one stage and task in their order; memory does not grow with their number."""

    def __init__(
        self, stage: str, task: Task, rule: DiagnosisRule, fallback: AnswerFormat | None, examples: judges.ExamplesOf
    ) -> None:
        self.stage, self.task, self.rule = stage, task, rule
        self.num_traces = self.num_groups = 0
        self.first_step = self.last_step = -1
        self.truncated = Tally(judges.truncated, rule.window)
        self.out_of_format = Tally(judges.out_of_format(fallback), rule.window)
        self.without_time = Tally(judges.without_time(fallback), rule.window)
        self.constant_groups, self.truth_unseen = (
            Tally(judges.constant, rule.window),
            Tally(judges.truth_unseen, rule.window),
        )
        self.beyond_video = Tally(judges.beyond_video, rule.window)
        self.copied_example = Tally(judges.copied_example(examples, fallback), rule.window)
        self.iou_and_reward = Tally(judges.iou_and_reward, rule.window)
        self.length = Trend(lambda trace: float(trace.num_tokens), rule.window)
        self.language = Trend(foreign_share, rule.window)
        self.reward = Trend(lambda trace: trace.reward, rule.window)
        self.iou = Trend(lambda trace: trace.answer_iou or 0.0, rule.window)
        self.ranges = Ranges()

    def add(self, group: Sequence[Trace]) -> None:
        """Count one group."""
        self.num_traces += len(group)
        self.num_groups += 1
        self.first_step = group[0].step if self.first_step < 0 else self.first_step
        self.last_step = group[-1].step
        for counter in self._counters():
            counter.add(group)

    def _counters(self) -> tuple[Tally | Trend | Ranges, ...]:
        tallies = (
            self.truncated, self.out_of_format, self.without_time, self.constant_groups, self.truth_unseen,
            self.beyond_video, self.copied_example, self.iou_and_reward,
        )  # fmt: skip
        return (*tallies, self.length, self.language, self.reward, self.iou, self.ranges)

    def outcome(self) -> Outcome:
        """The findings, those that explain most first; of equals the nearer to a cause first."""
        made = (
            self._truth_unseen(), self._truncated(), self._out_of_format(), self._without_time(),
            self._copied_example(), self._beyond_video(), self._language(), self._length(),
            self._constant_groups(), self._constant_reward(), self._mismatch(),
        )  # fmt: skip
        findings = [found for found in made if found is not None] if self.num_traces >= self.rule.fewest else []
        not_judged = []
        if self.num_traces < self.rule.fewest:
            not_judged.append(f"{self.num_traces} completions are too few to say anything")
        if not self.truncated.num_judged:
            not_judged.append("whether completions were cut off: these traces do not say it")
        if self.task is Task.TVG and not self.truth_unseen.num_judged:
            not_judged.append("whether the truth was seen: these traces do not say which frames were")
        if self.task is Task.TVG and self.out_of_format.num_judged and not self.copied_example.num_judged:
            not_judged.append("whether the prompt's example was copied: no time was read, or --method is needed")
        return Outcome(
            self.stage, self.task, self.num_traces, self.num_groups, self.first_step, self.last_step,
            self.reward.means(), self.iou.means() if self.task is Task.TVG else None,
            tuple(sorted(findings, key=lambda found: -found.explains)), tuple(not_judged),
        )  # fmt: skip

    # ---- one finding a method

    def _of(self, name: str, tally: Tally, words: str, unit: str = "completions", least: float = 0.0) -> Finding | None:
        if tally.num == 0 or tally.share < (least or self.rule.min_share):
            return None
        examples = tuple(example_of(trace, case.startswith(_STARTS)) for trace, case in tally.examples())
        cases = dict(tally.cases.most_common())
        lately = (
            f"; {tally.recent_share:.1%} of the last {tally.num_recent:,}"
            if tally.num_recent < tally.num_judged
            else ""
        )
        told = f"{tally.num:,} of {tally.num_judged:,} {unit} ({tally.share:.1%}{lately}) {words}"
        return Finding(name, told, tally.num, tally.num_judged, unit, tally.share, cases, examples)

    def _truncated(self) -> Finding | None:
        words = (
            "were ended by the token limit, most of them before their answer. Raise grpo.generation.max_new_tokens, or "
            "make long answers cost (reward.length)."
        )
        return self._of("truncated", self.truncated, words)

    def _out_of_format(self) -> Finding | None:
        how = "never follow" if self.out_of_format.share == 1.0 else "do not follow"
        words = f"{how} the format, so that what they say earns nothing or less: {self.out_of_format.commonest()}."
        return self._of("format", self.out_of_format, words)

    def _without_time(self) -> Finding | None:
        words = f"follow the format, but state no time that its rule can read: {self.without_time.commonest()}."
        return self._of("unread_time", self.without_time, words, "answers in the format")

    def _constant_groups(self) -> Finding | None:
        words = f"earn the same for all their completions, and so give no gradient: {self.constant_groups.commonest()}."
        advice = {
            judges.ALL_0: " Rewards are out of reach: teach the format first, or take a graded reward.",
            judges.ALL_1: " They are solved: ask them less often, or take harder samples (data.difficulty).",
            judges.ONE_TEXT: " The policy no longer explores: raise the temperature, or leave the stage.",
            judges.SAME_REWARD: " Take a finer reward, or other samples (data.difficulty).",
        }
        words += advice[self.constant_groups.cases.most_common(1)[0][0]] if self.constant_groups.num else ""
        return self._of("constant_groups", self.constant_groups, words, "groups", self.rule.min_constant)

    def _truth_unseen(self) -> Finding | None:
        words = (
            "ask for something that happens after the last frame that the policy saw. Look at durations and windows "
            "(python -m tvg_lightning data inspect) and at data.frames."
        )
        return self._of("truth_unseen", self.truth_unseen, words, "groups")

    def _beyond_video(self) -> Finding | None:
        words = "state a time beyond the end of their video. The policy may not know the video's duration."
        return self._of("beyond_video", self.beyond_video, words, "completions with a time")

    def _copied_example(self) -> Finding | None:
        cases = self.copied_example.commonest()
        words = f"repeat the times of the prompt's example instead of the video's: {cases}."
        return self._of("copied_example", self.copied_example, words, "completions with a time")

    def _mismatch(self) -> Finding | None:
        words = f"earn against their IoU within their group: {self.iou_and_reward.commonest()}. Look at other rewards."
        return self._of("iou_and_reward", self.iou_and_reward, words)

    def _language(self) -> Finding | None:
        first, last = self.language.means()
        if self.language.num < self.rule.fewest or last - first < self.rule.min_drift:
            return None
        foreign = [trace for trace, share in self.language.last if share >= _FOREIGN]
        words = (
            f"{len(foreign):,} of the last {self.language.num:,} completions are in another script than their query: "
            f"{last:.1%} of the letters, after {first:.1%} at first."
        )
        return self._of_last("language", words, foreign, self.language.num)

    def _length(self) -> Finding | None:
        first, last = self.length.means()
        low, high = sorted((first, last))
        if self.length.num < self.rule.fewest or low <= 0 or high / low < self.rule.growth:
            return None
        lasting = [trace for trace, _ in self.length.last]
        how = "grew" if last > first else "shrank"
        words = f"Completions {how} from {first:.1f} tokens (first {self.length.num:,}) to {last:.1f} (last)."
        num_cut = sum(bool(trace.truncated) for trace in lasting)
        if last > first and num_cut:
            words += f" {num_cut:,} of the last {len(lasting):,} reached the token limit."
        examples = tuple(example_of(trace) for trace in lasting[-NUM_EXAMPLES:])
        return Finding("length", words, len(lasting), len(lasting), "last completions", 1.0 - low / high, {}, examples)

    def _of_last(self, name: str, words: str, shown: Sequence[Trace], out_of: int) -> Finding | None:
        examples = tuple(example_of(trace) for trace in shown[-NUM_EXAMPLES:])
        return Finding(name, words, len(shown), out_of, "last completions", len(shown) / out_of, {}, examples)

    def _constant_reward(self) -> Finding | None:
        constant = self.ranges.constant(self.rule.fewest)
        if not constant:
            return None
        told = ", ".join(f"{name} is {value:g}" for name, value in sorted(constant.items()))
        num_parts = len(self.ranges.num_of)
        words = f"{len(constant)} of {num_parts} rewards with a weight had one value in all completions: {told}."
        cases = {name: self.ranges.num_of[name] for name in sorted(constant)}
        examples: tuple[Example, ...] = tuple(example_of(trace) for trace, _ in self.reward.last[-NUM_EXAMPLES:])
        share = len(constant) / num_parts
        return Finding("constant_reward", words, len(constant), num_parts, "rewards", share, cases, examples)


class Sections:
    """Takes the groups of a run in their order, each into the section of its stage and task."""

    def __init__(
        self, rule: DiagnosisRule, fallback: AnswerFormat | None = None, templates: PromptTemplates | None = None
    ) -> None:
        self._rule, self._fallback = rule, fallback
        self._examples = judges.prompt_examples(templates)
        self._of: dict[tuple[str, Task], Section] = {}

    def add(self, group: Sequence[Trace]) -> None:
        """Count one group."""
        key = group[0].stage, group[0].task
        if key not in self._of:
            self._of[key] = Section(*key, self._rule, self._fallback, self._examples)
        self._of[key].add(group)

    def outcomes(self) -> tuple[Outcome, ...]:
        """A section each, in the order in which they began; () without a group."""
        return tuple(section.outcome() for section in self._of.values())
