"""What a run that begins or resumes makes of the traces that lie there."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure

from callbacks.anchor_trace import AnchorTrace, each_kind_first
from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.modules.sft import SFTModule
from tvg_lightning.modules.step import StepResult
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.traces import read_traces

FIT, TEST = TrainerFn.FITTING, TrainerFn.TESTING


@pytest.mark.parametrize(("resumed_at", "fn", "steps"), [(None, FIT, []), (3, FIT, [0, 1, 2]), (3, TEST, [])])
def test_processes_that_are_no_more(tmp_path: Path, resumed_at: int | None, fn: TrainerFn, steps: list[int]) -> None:
    """Four processes wrote; now there are two, and the first also drops what the third and fourth wrote too late.

    A checkpoint that was tested before is not what a fit goes on from.
    """
    for rank in range(4):
        write_traces(tmp_path / f"explore-rank{rank}.jsonl", [replace(GOOD_TRACE, step=step) for step in range(5)])
    (tmp_path / "x-ranking.jsonl").write_text("not of this project", encoding="utf-8")
    for rank in range(2):
        callback = AnchorTrace(str(tmp_path))
        if resumed_at is not None:
            loading = SimpleNamespace(state=SimpleNamespace(fn=fn))
            callback.on_load_checkpoint(cast(Any, loading), cast(Any, None), {"batches_done": resumed_at})
        trainer = SimpleNamespace(fast_dev_run=False, global_rank=rank, world_size=2, is_global_zero=rank == 0)
        callback.on_train_start(cast(L.Trainer, trainer), cast(Any, None))
    for rank in range(4):
        assert [t.step for t in read_traces(tmp_path / f"explore-rank{rank}.jsonl")] == steps
    assert (tmp_path / "x-ranking.jsonl").read_text(encoding="utf-8") == "not of this project"


def test_pictures_show_every_kind_of_question_first() -> None:
    kinds = ["plain", "plain", "relation", "plain", "ordinal", "relation"]
    evaluated: Any = [
        SimpleNamespace(item=SimpleNamespace(sample=SimpleNamespace(kind=kind)), place=place)
        for place, kind in enumerate(kinds)
    ]
    assert [cast(Any, one).place for one in each_kind_first(evaluated)] == [0, 2, 4, 1, 3, 5]
    assert each_kind_first([]) == []


def test_pictures_of_rollouts_that_last_for_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Due at steps 0, 4, 8 and 12; there is a rollout at every third step, and the next one has the picture."""
    drawn: list[int] = []
    monkeypatch.setattr(AnchorTrace, "_draw_trace", lambda self, trainer, trace, items: drawn.append(trace.step))
    callback, module = AnchorTrace(picture_every=4), SFTModule(PolicySettings())
    trainer = cast(L.Trainer, SimpleNamespace(fast_dev_run=True, is_global_zero=True))
    for step in range(13):
        traces = [] if step % 3 else [replace(GOOD_TRACE, step=step)]
        module.last_step = StepResult(torch.zeros(()), {}, traces)
        callback.on_train_batch_end(trainer, module, None, [], step)
    assert drawn == [0, 6, 9, 12]


def test_a_picture_names_every_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    figure = figure_of_nothing()

    def draw(frames: Any, duration_s: Any, windows: Any, answer: Any, title: str, *more: Any) -> Any:
        titles.append(title)
        return figure

    monkeypatch.setattr("callbacks.anchor_trace.draw_timeline", draw)
    trace = replace(GOOD_TRACE, reward=1.5, rewards={"soft_iou": 0.5, "brevity": 1.0})
    item = SimpleNamespace(position=trace.group, clip=None)
    trainer = SimpleNamespace(loggers=[], global_step=0)
    AnchorTrace()._draw_trace(cast(L.Trainer, trainer), trace, [cast(Any, item)])
    (title,) = titles
    assert title.endswith("(explore, best of group, reward 1.50: soft_iou 0.50, brevity 1.00)")


def figure_of_nothing() -> Figure:
    return Figure(figsize=(1.0, 1.0))
