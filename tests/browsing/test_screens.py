"""A group as lines: every number where it is looked for, and texts in the colours of their lines."""

from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.browsing.screens import Look, screen
from tvg_lightning.browsing.selection import Judged
from tvg_lightning.failures import Failure, Verdict
from tvg_lightning.schema import Span, Task

TRACE = replace(
    GOOD_TRACE,
    query="The man\x1b[2J sits.",
    kind="plain",
    text="<think>at <timestamp>6.0 to 20.0</timestamp> or <timestamp>10.0 to 18.0</timestamp></think>"
    "<answer>10.0 to 19.0</answer>",
    anchor_ious=(0.714, 0.8),
    answer_iou=0.9,
    rewards={"format": 1.0, "soft_iou": 0.9},
    reward=1.9,
    advantage=0.7,
)
GROUP = [
    Judged(TRACE, Verdict(None), True),
    Judged(replace(TRACE, rollout=1, anchors=(), spans=None, reward=0.0), Verdict(Failure.FORMAT, "no thought"), False),
]
PLAIN = Look(width=88, has_texts=False)  # a column a second: 40 of them


def test_every_number_has_its_place() -> None:
    assert screen(GROUP, PLAIN) == [
        "stage explore, step 0, tvg, plain, sample s1, a.mp4, 2 completions, reward 0.95 ± 0.95",
        "The man␛[2J sits.",
        "      reward    adv    IoU  0         10        20        30  40.0 s",
        "truth                       ··········░░░░░░░░░░····················  10.0–20.0 s",
        "> 0     1.90  +0.70   0.90  ··········█████████░····················  10.0–19.0 s",
        "                    anchors ······1───2──────2─1····················  0.71 0.80",
        "      format 1.00 · soft_iou 0.90 · 1 token",
        "  1     0.00  +0.70   0.90  ··········░░░░░░░░░░····················  no answer",
        "      format 1.00 · soft_iou 0.90 · 1 token",
        "      format not followed: no thought",
    ]


def test_texts_stand_below_and_their_times_are_coloured() -> None:
    lines = screen(GROUP[:1], Look(width=88))
    assert lines[7].strip().startswith("<think>at <timestamp>6.0 to 20.0</timestamp>")
    assert lines[4].startswith("  0 ")  # all passed: none is marked
    text = "\n".join(screen(GROUP[:1], Look(width=300, is_coloured=True))[7:])
    first, last, answer = (
        "\x1b[38;5;222m6.0 to 20.0\x1b[0m",
        "\x1b[38;5;166m10.0 to 18.0\x1b[0m",
        "\x1b[1;34m10.0 to 19.0\x1b[0m",
    )
    assert text.index(first) < text.index(last) < text.index(answer)


def test_truths_that_are_none_and_tasks_without_one() -> None:
    def truth(**changes: object) -> str:
        return screen([Judged(replace(TRACE, **changes), Verdict(None), True)], PLAIN)[3]  # type: ignore[arg-type]

    assert truth(windows=()).endswith("not in the video") and truth(windows=None).endswith("unknown")
    two = (Span(1.0, 2.0), Span(123.0, 456.0))
    assert truth(windows=two).endswith("1.0–2.0, 123.0–45…")
    lines = screen([Judged(replace(TRACE, task=Task.VERB_COMPLETION, answer_iou=None), Verdict(None), True)], PLAIN)
    assert len(lines) == 5 and "█" not in "".join(lines)
