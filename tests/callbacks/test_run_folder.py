"""A run's folder is one run's: nothing that lies there is lost, and nobody else writes to it."""

import errno
from pathlib import Path

import pytest

from callbacks.anchor_trace import AnchorTrace
from callbacks.run_folder import RunFolder
from callbacks.stage_summary import StageSummary
from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.builders import GOOD_TRACE, write_traces
from tests.callbacks.conftest import Run
from tvg_lightning.machine import read_starts, record_start, this_machine
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.rewards.weights import RewardWeights

STAGE = StageSettings("explore", grpo=GRPOSettings(beta=0.0), reward=RewardWeights(iou=1.0), steps=6, batch_size=2)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".run.lock"
    }


def test_a_fresh_run_moves_an_earlier_one_aside(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def callbacks() -> list[object]:
        return [RunFolder(), AnchorTrace(), StageSwitch(), StageSummary(), StepCheckpoint(every_n_steps=2)]

    folder = run([STAGE], callbacks()).folder
    write_traces(folder / "traces" / "explore-rank0.jsonl", [GOOD_TRACE])
    first = files(folder)
    assert {"checkpoints/final.ckpt", "summary.json", "traces/explore-rank0.jsonl"} <= first.keys()
    run([STAGE], callbacks())
    assert {name: files(folder)[f"earlier-1/{name}"] for name in first} == first
    assert "earlier run: its traces, checkpoints, summary.json, machine.json are in" in caplog.text
    run([STAGE], callbacks())
    assert (folder / "earlier-2" / "summary.json").is_file()


def test_a_run_that_did_nothing_is_not_kept(run: Run) -> None:
    folder = run([STAGE], [StageSwitch()]).folder
    record_start(folder, this_machine())
    run([STAGE], [RunFolder(), StageSwitch()])
    assert len(read_starts(folder)) == 1 and not (folder / "earlier-1").exists()


def test_a_run_that_goes_on_leaves_everything_in_its_place(run: Run) -> None:
    folder = run([STAGE], [RunFolder(), StageSwitch(), StepCheckpoint(every_n_steps=2)], max_steps=3).folder
    last = folder / "checkpoints" / "last.ckpt"
    assert len(read_starts(folder)) == 1
    run([STAGE], [RunFolder(), StageSwitch(), StepCheckpoint()], ckpt_path=last)
    assert last.is_file() and not (folder / "earlier-1").exists()
    assert len(read_starts(folder)) == 2  # what each part of the run ran with


def test_two_runs_in_one_folder_are_refused(run: Run) -> None:
    class Nested(StageSwitch):
        def on_train_start(self, *_: object) -> None:
            with pytest.raises(ValueError, match="another run is writing there"):
                run([STAGE], [RunFolder(), StageSwitch()])

    run([STAGE], [RunFolder(), Nested()])
    run([STAGE], [RunFolder(), StageSwitch()])


def test_a_dry_run_touches_nothing(run: Run) -> None:
    callbacks = [RunFolder(), AnchorTrace(), StageSwitch(), StageSummary(), StepCheckpoint(every_n_steps=2)]
    folder = run([STAGE], callbacks).folder
    write_traces(folder / "traces" / "explore-rank0.jsonl", [GOOD_TRACE])
    before = files(folder)
    run([STAGE], [RunFolder(), AnchorTrace(), StageSwitch(), StageSummary(), StepCheckpoint()], fast_dev_run=True)
    assert files(folder) == before


def test_a_folder_that_is_none_is_said_to_all_processes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ValueError, match=r"run: no run can be written there; set trainer\.default_root_dir \(.*exists"):
        run([STAGE], [RunFolder(), StageSwitch()])


def test_an_earlier_run_that_cannot_be_moved_is_said_to_all_processes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(path: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    folder = run([STAGE], [RunFolder(), StageSwitch(), StepCheckpoint()]).folder
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(ValueError, match=r"the earlier run there cannot be moved aside; .*Permission denied"):
        run([STAGE], [RunFolder(), StageSwitch(), StepCheckpoint()])
    assert (folder / "checkpoints" / "final.ckpt").is_file()
