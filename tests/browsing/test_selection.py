"""Which groups and completions of a hand-made run pass, and what is said where none can."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.browsing.selection import Selection, selected
from tvg_lightning.failures import Failure
from tvg_lightning.schema import AnswerFormat, Method, Span, Task

FORM = AnswerFormat(Method.TIME_R1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two stages of three steps, two completions each: one right, one that misses."""
    right = replace(GOOD_TRACE, answer_iou=0.9, reward=2.0, form=FORM)
    wrong = replace(right, spans=(Span(0.0, 1.0),), answer_iou=0.0, reward=0.5, rollout=1)
    for stage in ("explore", "refine"):
        traces = [
            replace(trace, stage=stage, step=step, sample_id=f"s{step}", kind="plain" if step else "every")
            for step in range(3)
            for trace in (right, wrong)
        ]
        write_traces(tmp_path / "traces" / f"{stage}-rank0.jsonl", traces)
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "num_groups", "chosen"),
    [
        ({}, 6, [True, True]),
        ({"stage": "refine"}, 3, [True, True]),
        ({"first_step": 1, "last_step": 1}, 2, [True, True]),
        ({"kind": "every"}, 2, [True, True]),
        ({"sample": "s2"}, 2, [True, True]),
        ({"query": GOOD_TRACE.query[2:8].upper()}, 6, [True, True]),
        ({"query": "no such words"}, 0, None),
        ({"task": "verb_completion"}, 0, None),
        ({"failure": "missed"}, 6, [False, True]),
        ({"failure": "none"}, 6, [True, False]),
        ({"failure": "copied"}, 0, None),
        ({"min_iou": 0.9}, 6, [True, False]),
        ({"max_iou": 0.0}, 6, [False, True]),
        ({"min_reward": 0.5, "max_reward": 0.5}, 6, [False, True]),
        ({"min_reward": 2.1}, 0, None),
    ],
)
def test_what_passes(run: Path, wanted: dict[str, Any], num_groups: int, chosen: list[bool] | None) -> None:
    groups = list(selected(run, Selection(**wanted)))
    assert len(groups) == num_groups
    assert all([judged.is_chosen for judged in group] == chosen for group in groups)


def test_completions_without_an_iou_pass_no_bound_of_it(run: Path) -> None:
    inverted = replace(GOOD_TRACE, task=Task.VERB_COMPLETION, answer_iou=None)
    write_traces(run / "traces" / "verbs-rank0.jsonl", [inverted])
    assert len(list(selected(run, Selection(stage="verbs")))) == 1
    assert not list(selected(run, Selection(stage="verbs", max_iou=1.0)))


def test_other_events_are_known_from_all_stages(run: Path) -> None:
    elsewhere = replace(
        GOOD_TRACE, stage="more", windows=(Span(0.0, 1.1),), query="It falls.", answer_iou=0.0, spans=()
    )
    write_traces(run / "traces" / "more-rank0.jsonl", [elsewhere])
    (first, *_) = selected(run, Selection(stage="explore"))
    assert first[1].verdict == (Failure.OTHER_EVENT, "It falls.")


def test_bad_input_is_one_sentence_each(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, said in ((run / "absent", "there is no such folder"), (run / "traces" / "..", None)):
        if said is not None:
            with pytest.raises(ValueError, match=said):
                list(selected(folder, Selection()))
    with pytest.raises(ValueError, match=r"no traces of a stage explor; there are those of explore, refine$"):
        list(selected(run, Selection(stage="explor")))
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="no traces here"):
        list(selected(tmp_path / "bare", Selection()))
    (tmp_path / "bare" / "explore-rank0.jsonl").write_text("")
    with pytest.raises(ValueError, match="are empty: the run has ended before its first step"):
        list(selected(tmp_path / "bare", Selection()))
    file = run / "traces" / "refine-rank0.jsonl"
    file.write_bytes(file.read_bytes() + b'{"stage": "ref')
    assert len(list(selected(run, Selection()))) == 6
    assert f"{file}: its last line is torn" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"min_iou": 1.2}, "--min_iou: an IoU is between 0 and 1, not 1.2"),
        ({"min_iou": 0.5, "max_iou": 0.4}, "--min_iou 0.5 is above --max_iou 0.4"),
        ({"first_step": 5, "last_step": 4}, "--first_step 5 is above"),
    ],
)
def test_bounds_that_nothing_can_pass(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Selection(**wanted)
