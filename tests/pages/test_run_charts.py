"""Charts of counted and logged numbers: which there are, whose bands, and where their lines have gaps."""

from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.pages.run_charts import charts_of
from tvg_lightning.pages.tallies import Tallies


def staged() -> Tallies:
    """Steps 0, 1 of one stage and 4, 5 of another; between them SFT."""
    found = Tallies()
    for stage, step in (("explore", 0), ("explore", 1), ("refine", 4), ("refine", 5)):
        found.add([replace(GOOD_TRACE, stage=stage, step=step, reward=float(step))])
    return found


def test_logged_numbers_stand_beside_the_counted() -> None:
    logged = {
        "v/mIoU": [(0, 0.25), (5, 0.5)],
        "summary/mIoU": [(0, 0.1)],
        "speed/step_s": [(step, 2000.0) for step in range(6)],
        "memory/rollout_gib": [(0, 1.0), (1, 1.0), (4, 1.0), (5, 2.0)],
        "train/kl": [(0, 1.0)],
    }
    charts = {
        chart["title"]: chart for chart in charts_of([staged()], [logged], ["base", "explore", "imitate", "refine"])
    }
    assert list(charts)[-3:] == ["mIoU of validation", "seconds a step", "memory, GiB"] and "loss" not in charts
    assert [band["name"] for band in charts["reward"]["bands"]] == ["explore", "imitate", "refine"]
    assert [line["name"] for line in charts["mIoU of validation"]["lines"]] == ["v"]
    pieces = {title: charts[title]["lines"][0]["path"].count("M") for title in charts}
    assert pieces["reward"] == pieces["memory, GiB"] == 2
    assert pieces["seconds a step"] == pieces["mIoU of validation"] == 1  # SFT has logged them, or they are rare
    assert charts["seconds a step"]["lines"][0]["last"] == "2,000"


def test_two_runs_and_none() -> None:
    charts = charts_of([Tallies(), staged()], [{}, {}], [])
    assert {line["run"] for chart in charts for line in chart["lines"]} == {1} and charts[0]["bands"] == []
    assert charts_of([Tallies()], [{}], []) == []


def test_values_that_are_not_finite_are_counted_and_not_drawn() -> None:
    nan, inf = float("nan"), float("inf")
    (loss,) = [c for c in charts_of([Tallies()], [{"train/loss": [(0, 2.0), (1, nan), (2, inf), (4, 1.0)]}], [])]
    (line,) = loss["lines"]
    assert line["name"] == "loss (2 not finite)" and (loss["low"], loss["high"], line["last"]) == ("0", "2", "1")
    assert line["path"] == "M0.0 0.0 L360.0 75.0"
    assert charts_of([Tallies()], [{"train/loss": [(0, nan)]}], []) == []
