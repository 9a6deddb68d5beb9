"""All that the page of a run shows: sampled groups with their verdicts, counts of failures, and who is best."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tvg_lightning.diagnosis.runs import groups_in
from tvg_lightning.failures import WORDS, FailureJudge
from tvg_lightning.pages.pieces import Json, lanes_of, pieces_of, said
from tvg_lightning.pages.tallies import Tallies, spread
from tvg_lightning.progress import tracked
from tvg_lightning.schema import Task
from tvg_lightning.traces import Trace

SPREAD, BEST, WORST, REFINED, RIGHT = "spread over the run", "best", "worst", "most refined", "nothing wrong"
NUM_SPREAD, NUM_STEPS, NUM_EXAMPLES = 24, 20, 6
MAX_SURPLUS = 200  # groups that are kept although a better one has taken their place since


@dataclass(slots=True)
class Shown:
    """The part of a run that is shown: groups by their numbers, and the completions in each list of the page."""

    groups: dict[int, Json] = field(default_factory=dict)
    lists: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # list -> (group, completion)
    by_query: dict[str, list[int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # completions by failure


def choose(folder: Path, run: int, tallies: Tallies, queries: Sequence[str]) -> Shown:
    """Read a run once more and keep what is shown: a spread, the steps of some queries, and examples of every kind."""
    shown = Shown()
    num_groups = len(tallies.groups)
    if not num_groups:
        return shown
    numbers_of: dict[str, list[int]] = {}
    for number, (sample, task, _) in enumerate(tallies.groups):
        if task is Task.TVG and sample in queries:
            numbers_of.setdefault(sample, []).append(number)
    shown.by_query = {sample: spread(numbers, NUM_STEPS) for sample, numbers in numbers_of.items()}
    of_run = spread(range(num_groups), NUM_SPREAD)
    wanted = {*of_run, *(number for numbers in shown.by_query.values() for number in numbers)}
    judge, ranked = FailureJudge(tallies.events), _Ranked()
    kept: dict[int, tuple[list[Trace], list[str]]] = {}  # groups that may be shown, and what each completion failed in
    groups = islice(groups_in(folder, notes=[]), num_groups)  # what is wrong was said; a run may have gone on since
    for number, group in enumerate(tracked(groups, f"choosing from {folder}", "group", num_groups)):
        verdicts = [judge(trace) for trace in group]
        for place, (trace, verdict) in enumerate(zip(group, verdicts, strict=True)):
            words = WORDS[verdict.failure] if verdict.failure else RIGHT
            shown.counts[words] += 1
            if trace.task is Task.TVG:
                ranked.offer(words, trace, number, place, shown.counts[words])
        if number in wanted or ranked.holds(number):
            kept[number] = group, [verdict.words for verdict in verdicts]
        if len(kept) > len(wanted) + MAX_SURPLUS:
            kept = {one: of for one, of in kept.items() if one in wanted or ranked.holds(one)}
    shown.lists = {SPREAD: [(number, 0) for number in of_run], **ranked.lists()}
    in_lists = {number for entries in shown.lists.values() for number, _ in entries}
    shown.groups = {n: _group_json(*of, run) for n, of in kept.items() if n in wanted or n in in_lists}
    return shown


class _Ranked:
    """The few best of each list so far, one a query: (key, group, completion, sample), the best first."""

    def __init__(self) -> None:
        self._lists: dict[str, list[tuple[float, int, int, str]]] = {BEST: [], WORST: [], REFINED: []}

    def offer(self, failure: str, trace: Trace, group: int, place: int, nth: int) -> None:
        """Take a completion into the lists that it belongs to; of a failure the later ones, as the run now fails."""
        entry = (group, place, trace.sample_id)
        self._take(BEST, trace.reward, *entry)
        self._take(WORST, -trace.reward, *entry)
        if trace.answer_iou is not None and trace.anchor_ious:
            self._take(REFINED, trace.answer_iou - trace.anchor_ious[0], *entry)
        if failure != RIGHT:
            self._take(failure, float(nth), *entry)

    def _take(self, name: str, key: float, group: int, place: int, sample: str) -> None:
        entries = self._lists.setdefault(name, [])
        if len(entries) == NUM_EXAMPLES and key <= entries[-1][0]:
            return
        same = next((entry for entry in entries if entry[3] == sample), None)
        if same is not None:
            if same[0] >= key:
                return
            entries.remove(same)
        entries.append((key, group, place, sample))
        entries.sort(key=lambda entry: -entry[0])
        del entries[NUM_EXAMPLES:]

    def holds(self, number: int) -> bool:
        """True where a completion of the group is in a list now."""
        return any(group == number for entries in self._lists.values() for _, group, _, _ in entries)

    def lists(self) -> dict[str, list[tuple[int, int]]]:
        """Group and completion of all entries."""
        return {name: [(g, place) for _, g, place, _ in entries] for name, entries in self._lists.items() if entries}


def _group_json(group: Sequence[Trace], failures: Sequence[str], run: int) -> Json:
    """One group for the page."""
    first = group[0]
    return {
        "run": run, "stage": first.stage, "step": first.step, "task": first.task.value, "sample": first.sample_id,
        "query": first.query, "video": first.video, "duration_s": first.duration_s,
        "windows": None if first.windows is None else [list(window) for window in first.windows],
        "completions": [_completion_json(t, words) for t, words in zip(group, failures, strict=True)],
    }  # fmt: skip


def _completion_json(trace: Trace, failure: str) -> Json:
    windows = trace.windows if trace.task is Task.TVG else None
    return {
        "said": said(trace.answer) if trace.task is Task.TVG else "",
        "bars": [list(span) for span in trace.spans or ()],
        "lanes": lanes_of(windows, trace.answer, trace.anchor_ious, trace.answer_iou) if trace.task is Task.TVG else [],
        "pieces": pieces_of(trace.text, trace.answer),
        "reward": round(trace.reward, 3),
        "advantage": round(trace.advantage, 3),
        "rewards": {name: round(value, 3) for name, value in trace.rewards.items()},
        "iou": None if trace.answer_iou is None else round(trace.answer_iou, 3),
        "tokens": trace.num_tokens,
        "failure": failure,
    }
