"""The table by hand, and that no run of before is taken for one of now."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.quickstart import fresh_folders, table


def row(stage: str, miou: float, seconds: float, anchors: list[float], **others: Any) -> dict[str, Any]:
    metrics = dict.fromkeys(("R1@0.3", "R1@0.5", "R1@0.7", "VC", "AR", "VD"), 0.5)
    metrics |= {"mIoU": miou, "format_rate": 1.0}
    return {"stage": stage, **metrics, "anchor_mIoU": anchors, "seconds": seconds} | others


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_of_two_seeds_by_hand() -> None:
    """Sample standard deviations: of 0.25 and 0.75 sqrt(1/8) = 0.354, of 10 and 13 seconds 2.12."""
    first = [row("base", 0.25, 0.0, []), row("explore", 0.25, 10.0, [0.25, 0.5])]
    second = [row("base", 0.25, 0.0, []), row("explore", 0.75, 13.0, [0.75])]
    head, rule, base, explore = map(cells, table([first, second]).split("\n"))
    names = ["stage", "mIoU", "R1@0.3", "R1@0.5", "R1@0.7", "VC", "AR", "VD", "format_rate", "anchors", "seconds"]
    assert head == names and rule == ["---"] * 11
    even = ["0.500 ± 0.000"] * 6
    assert base == ["base", "0.250 ± 0.000", *even, "1.000 ± 0.000", "", "0 ± 0"]
    anchors = "0.500 ± 0.354 0.500"  # only one seed has a second anchor
    assert explore == ["explore", "0.500 ± 0.354", *even, "1.000 ± 0.000", anchors, "12 ± 2"]


def test_another_split_has_its_metrics_and_the_stage_its_seconds() -> None:
    other = row("", 0.125, 0.0, [0.375])
    line = table([[row("refine", 0.5, 7.0, [], compositional=other)]], "compositional").split("\n")[-1]
    assert cells(line)[:2] == ["refine", "0.125"] and cells(line)[-2:] == ["0.375", "7"]


def test_an_old_run_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    assert fresh_folders([0, 1], tmp_path) == {0: tmp_path / "0", 1: tmp_path / "1"}
    (tmp_path / "1").mkdir()  # whatever it holds: it may have been cut off, or be of other settings
    with pytest.raises(ValueError, match=r"there are runs already in .*1: remove them or give other seeds"):
        fresh_folders([0, 1], tmp_path)
