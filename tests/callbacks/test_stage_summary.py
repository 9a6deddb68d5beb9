"""The table and its rows: by hand, and of a run of two stages."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callbacks.stage_summary import StageSummary, table
from callbacks.stage_switch import StageSwitch
from tests.callbacks.conftest import Run
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.settings import PlateauSettings, StageSettings
from tvg_lightning.rewards.weights import RewardWeights

STAGE = StageSettings("explore", grpo=GRPOSettings(beta=0.0), reward=RewardWeights(iou=1.0), steps=3, batch_size=2)


def test_a_table_by_hand() -> None:
    rows = [
        {"stage": "base", "mIoU": 0.25, "R1@0.5": 0.5, "anchor_mIoU": []},
        {"stage": "explore", "mIoU": 0.5, "VC": 1.0, "anchor_mIoU": [0.25, 0.375], "other": {"mIoU": 0.125}},
    ]
    lines = table(rows, ["held_out", "other"]).split("\n")
    assert lines[0].split() == [
        "held_out", "mIoU", "R1@0.3", "R1@0.5", "R1@0.7", "format_rate", "VC", "AR", "VD", "anchors",
    ]  # fmt: skip
    assert lines[1].split() == ["base", "0.250", "–", "0.500", "–", "–", "–", "–", "–"]
    assert lines[2].split() == ["explore", "0.500", "–", "–", "–", "–", "1.000", "–", "–", "0.250", "0.375"]
    assert lines[3] == ""
    assert lines[4].split()[0] == "other"
    assert lines[5].split() == ["base", *["–"] * 8]  # this row has no metrics of that split
    assert lines[6].split() == ["explore", "0.125", *["–"] * 7]
    assert len(lines) == 7


def test_columns_stand_under_their_names() -> None:
    rows = [{"stage": "base", "mIoU": 0.25, "VD": 0.5, "anchor_mIoU": []}]
    head, row = table(rows, ["held_out"]).split("\n")
    assert row.index("0.250") + 5 == head.index("mIoU") + 4
    assert row.index("0.500") + 5 == head.index("VD") + 2


def test_rows_of_a_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Every validation scores a sixteenth of the steps taken until then."""
    plateau = PlateauSettings(window=1, min_gain=0.1)  # left after its second step
    stages = [STAGE, replace(STAGE, name="imitate", plateau=plateau), replace(STAGE, name="refine", steps=1)]
    done = run(stages, [StageSwitch(), StageSummary()])
    rows = json.loads((done.folder / "summary.json").read_text(encoding="utf-8"))
    assert [(row["stage"], row["steps"], row["mIoU"]) for row in rows] == [
        ("base", 0, 0.0),
        ("explore", 3, 0.1875),
        ("imitate", 2, 0.3125),
        ("refine", 1, 0.375),
    ]
    assert (rows[2]["R1@0.3"], rows[2]["R1@0.5"]) == (1.0, 0.0)
    assert rows[2]["anchor_mIoU"] == [0.25, 0.5] and rows[2]["format_rate"] == 1.0
    assert (rows[2]["refining_rate"], rows[2]["completion_length"], rows[2]["truncated"]) == (1.0, 7.0, 0.0)
    assert done.trainer.callback_metrics["held_out/refining_rate"] == 1.0
    assert not any("anchor_count" in key for key in rows[2])
    assert all(row["seconds"] >= 0.0 for row in rows)
    assert table(rows, ["held_out"]) in capsys.readouterr().out


def test_rows_and_times_go_on_after_an_interruption() -> None:
    before = StageSummary()
    before.load_state_dict({"rows": [{"stage": "base"}], "seconds": 12.0, "steps_before": 7})
    assert before.state_dict() == {"rows": [{"stage": "base"}], "seconds": 12.0, "steps_before": 7}


def test_the_time_of_a_stage_that_is_over_is_not_the_next_ones(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of the end of a stage, from which the next one begins; the clock is 10 s on at every look."""
    clock_s = count(100.0, 10.0)
    monkeypatch.setattr("callbacks.stage_summary.time", SimpleNamespace(monotonic=lambda: next(clock_s)))
    summary = StageSummary()
    run([STAGE], [StageSwitch(), summary])
    assert summary.rows[1]["seconds"] == 10.0
    assert summary.state_dict()["seconds"] == 10.0, "since the end of the stage"


def test_a_checkpoint_of_before_the_names_changed_is_refused() -> None:
    with pytest.raises(ValueError, match="written before names changed"):
        StageSummary().load_state_dict({"rows": [], "seconds": 1.0, "batches_before": 3})


def test_the_table_is_written_beside_its_place_under_a_name_of_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.partial").write_text("of another program", encoding="utf-8")
    summary = StageSummary(str(tmp_path / "rows.json"))
    run([STAGE], [StageSwitch(), summary])
    assert len(json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))) == 2
    assert (tmp_path / "rows.partial").read_text(encoding="utf-8") == "of another program"


def test_a_run_that_grounds_nothing_has_a_table_too(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    summary = StageSummary()
    done = run([STAGE], [StageSwitch(), summary])
    summary.rows = [
        {"stage": "base", "AR": 0.5, "anchor_mIoU": []},
        {"stage": "explore", "AR": 0.75, "anchor_mIoU": []},
    ]
    summary.on_fit_end(done.trainer, done.module)
    assert "0.750" in capsys.readouterr().out


def test_a_test_after_a_fit_bears_the_names_of_its_own_splits(run: Run) -> None:
    done = run([STAGE], [StageSwitch()])
    done.data.test = [replace(done.data.val[0], name="other")]
    (found,) = done.trainer.test(done.module, done.data, verbose=False)
    assert {name.partition("/")[0] for name in found} == {"other"}
    assert list(done.module.metrics) == ["other"]


def test_steps_are_those_of_the_stage_wherever_it_was_evaluated(run: Run) -> None:
    """Evaluated after the second batch of three, and in every other stage."""
    stages = [STAGE, replace(STAGE, name="imitate", steps=2), replace(STAGE, name="refine", steps=4)]
    done = run(stages, [StageSwitch(), StageSummary()], val_check_interval=2)
    rows = json.loads((done.folder / "summary.json").read_text(encoding="utf-8"))
    assert [(row["stage"], row["steps"], row["mIoU"]) for row in rows] == [
        ("base", 0, 0.0), ("explore", 3, 0.125), ("imitate", 2, 0.3125), ("refine", 4, 0.5625),
    ]  # fmt: skip
    done = run(stages, [StageSwitch(), StageSummary()], check_val_every_n_epoch=2)
    rows = json.loads((done.folder / "summary.json").read_text(encoding="utf-8"))
    assert [(row["stage"], row["steps"]) for row in rows] == [("base", 0), ("imitate", 2)]


def test_an_interval_that_a_later_stage_is_too_short_for_is_refused_at_once(run: Run) -> None:
    with pytest.raises(ValueError, match=r'val_check_interval 3 is longer than stage "imitate", which has 2 batches'):
        run([STAGE, replace(STAGE, name="imitate", steps=2)], [StageSwitch()], val_check_interval=3)


def test_the_preset_stands_above_its_numbers() -> None:
    rows: list[dict[str, Any]] = [{"stage": "base", "preset": "timelens", "mIoU": 0.25, "anchor_mIoU": []}]
    lines = table(rows, ["held_out"]).split("\n")
    assert lines[:2] == ["preset timelens", ""] and lines[2].startswith("held_out") and len(lines) == 4


def test_sets_and_kinds_have_blocks_of_their_own() -> None:
    rows = [
        {"stage": "base", "mIoU": 0.25, "C-Acc": 0.5, "EtF1": 0.125, "mIoU/plain": 0.5, "mIoU/look_alike": 0.0},
        {"stage": "explore", "mIoU": 0.5, "C-Acc": 0.75, "mIoU/plain": 1.0},
    ]
    lines = table([{**row, "anchor_mIoU": []} for row in rows], ["held_out"]).split("\n")
    assert lines[3].split()[:2] == ["C-Acc", "set_IoU"] and lines[5].split()[:2] == ["explore", "0.750"]
    assert lines[6].split() == ["mIoU/look_alike", "mIoU/plain"] and lines[8].split() == ["explore", "–", "1.000"]
    assert len(lines) == 9
