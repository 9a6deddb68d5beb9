"""A group of completions as lines of a terminal: the query, the truth, and every completion with its time line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from tvg_lightning.answer_marks import answer_marks, marked_lines
from tvg_lightning.browsing.lanes import anchor_lane, answer_lane, axis, clipped, safe, truth_lane, wrapped
from tvg_lightning.browsing.selection import Group, Judged
from tvg_lightning.progress import plural
from tvg_lightning.schema import Span, Task
from tvg_lightning.traces import Trace

LEFT, RIGHT, LEAST_WIDTH = 28, 20, 80  # columns for the numbers, for the times, and of a screen
_HEAD = "      reward    adv    IoU  "
# codes of colours, as in the pictures: truth green, anchors orange (paler is earlier), answer blue
_TRUTH, _ANSWER, _BAD, _QUIET, _BOLD = "32", "1;34", "31", "2", "1"
_ANCHORS = ("38;5;222", "38;5;215", "38;5;208", "38;5;166")


@dataclass(frozen=True, slots=True)
class Look:
    """The look of a screen: its width in columns, with colours or without, and whether the texts are shown."""

    width: int = 100
    is_coloured: bool = False
    has_texts: bool = True

    @property
    def lane(self) -> int:
        """Columns of a time line."""
        return max(self.width, LEAST_WIDTH) - LEFT - RIGHT

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, where colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured and text else text


def screen(group: Group, look: Look) -> list[str]:
    """All completions of a prompt; ``>`` before those that passed the selection, where not all did."""
    trace = group[0].trace
    lines = list(_head(group, look))
    if trace.task is Task.TVG:
        lines += [
            look.paint(_HEAD, _QUIET) + look.paint(axis(trace.duration_s, look.lane), _QUIET),
            _truth(trace, look),
        ]
    else:
        lines.append(look.paint(_HEAD.replace("IoU", "   "), _QUIET))
    all_chosen = all(judged.is_chosen for judged in group)
    for judged in group:
        lines += _completion(judged, ">" if judged.is_chosen and not all_chosen else " ", look)
    return lines


def _head(group: Group, look: Look) -> Iterator[str]:
    trace = group[0].trace
    rewards = [judged.trace.reward for judged in group]
    kind = f", {trace.kind}" if trace.kind else ""
    yield clipped(
        f"stage {trace.stage}, step {trace.step}, {trace.task}{kind}, sample {trace.sample_id}, {trace.video}, "
        f"{len(group)} completions, reward {fmean(rewards):.2f} ± {pstdev(rewards):.2f}",
        look.width,
    )
    yield look.paint(clipped(trace.query, look.width), _BOLD)


def _truth(trace: Trace, look: Look) -> str:
    lane = "".join(truth_lane(trace.windows or (), trace.duration_s, look.lane))
    told = "unknown" if trace.windows is None else _times(trace.windows) if trace.windows else "not in the video"
    return f"{'truth':<{LEFT}}" + look.paint(lane, _TRUTH) + f"  {look.paint(clipped(told, RIGHT - 2), _TRUTH)}"


def _completion(judged: Judged, sign: str, look: Look) -> Iterator[str]:
    """Its numbers and time lines, the parts of its reward with the failure, and its text."""
    trace = judged.trace
    iou = f"{trace.answer_iou:6.2f}" if trace.answer_iou is not None else f"{'–':>6}"
    numbers = f"{sign} {trace.rollout:<2}  {trace.reward:6.2f} {trace.advantage:+6.2f} "
    if trace.task is Task.TVG:
        told = "no answer" if trace.spans is None else _times(trace.spans) if trace.spans else "not in the video"
        lane = answer_lane(trace.spans or (), trace.windows or (), trace.duration_s, look.lane)
        yield f"{numbers + iou:<{LEFT}}" + look.paint(lane, _ANSWER) + f"  {clipped(told, RIGHT - 2)}"
        if trace.anchors:
            lane = anchor_lane(trace.anchors, trace.windows or (), trace.duration_s, look.lane)
            ious = clipped(" ".join(f"{value:.2f}" for value in trace.anchor_ious), RIGHT - 2)
            yield f"{'anchors ':>{LEFT}}" + look.paint(lane, _ANCHORS[2]) + f"  {ious}"
    else:
        yield numbers.rstrip()
    parts = " · ".join(f"{name} {value:.2f}" for name, value in trace.rewards.items())
    words = judged.verdict.words
    for line in wrapped(safe(f"{parts} · {plural(trace.num_tokens, 'token')}".removeprefix(" · ")), look.width - 6):
        yield " " * 6 + look.paint(line, _QUIET)
    if words:
        yield " " * 6 + look.paint(clipped(words, look.width - 6), _BAD)
    if look.has_texts:
        yield from _text(trace, look)
        yield ""


def _text(trace: Trace, look: Look) -> Iterator[str]:
    """The text, its anchors and answer in the colours of their lines."""
    text = safe(trace.text)
    lines = list(wrapped(text, look.width - 6))
    for runs in marked_lines(text, lines, answer_marks(trace.text, trace.answer)):
        coloured = [
            run
            if mark is None
            else look.paint(run, _ANSWER if mark.anchor is None else _anchor_colour(trace, mark.anchor))
            for run, mark in runs
        ]
        yield (" " * 6 + "".join(coloured)).rstrip()


def _anchor_colour(trace: Trace, anchor: int) -> str:
    """Paler is earlier; a single anchor has the strongest colour, as in the pictures."""
    num = len(trace.anchors)
    share = 1.0 if num < 2 else anchor / (num - 1)
    return _ANCHORS[round(share * (len(_ANCHORS) - 1))]


def _times(spans: Sequence[Span]) -> str:
    return ", ".join(f"{span.start_s:.1f}–{span.end_s:.1f}" for span in spans) + " s"
