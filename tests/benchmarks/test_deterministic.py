"""The comparison for a GPU, small and on the CPU: both ways are measured, and equal runs are found equal."""

from pathlib import Path

import pytest

from benchmarks.deterministic import compared, measured
from benchmarks.sides.work import Work, save_model

SMALL = Work(side=4, new_tokens=4, num_generations=2, repetitions=1, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return folder


def test_the_same_steps_give_the_same_weights(folder: Path) -> None:
    first, second = measured(SMALL, folder, "cpu"), measured(SMALL, folder, "cpu")
    assert first["weights"] == second["weights"] and len(first["seconds"]) == 1
    more = measured(Work(**{**SMALL.as_dict(), "repetitions": 2}), folder, "cpu")  # type: ignore[arg-type]
    assert more["weights"] != first["weights"]


@pytest.mark.slow
def test_both_ways_are_measured(folder: Path) -> None:
    found = compared(SMALL, folder, "cpu")
    assert all(found[way]["least_s"] <= found[way]["median_s"] for way in ("as_is", "deterministic"))
    assert found["as_is"]["runs_are_equal"] and found["deterministic"]["runs_are_equal"]
