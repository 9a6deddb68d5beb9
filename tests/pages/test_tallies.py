"""Means by step of hand-made groups, and which queries are asked most."""

from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.pages.tallies import Tallies, most_asked
from tvg_lightning.schema import Task


def tallies_of(*samples: str) -> Tallies:
    """A group of two a step, of these samples one after another."""
    found = Tallies()
    for step, sample in enumerate(samples):
        rows = [replace(GOOD_TRACE, step=step, sample_id=sample, rollout=k, reward=k * 1.0) for k in range(2)]
        found.add([replace(row, answer_iou=0.5, anchor_ious=(0.25, 0.75), rewards={"iou": 0.5}) for row in rows])
    return found


def test_means_by_step() -> None:
    found = tallies_of("a", "b", "a")
    (total,) = found.curves("reward", 0)
    assert total.points == [(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)]
    assert [(curve.name, curve.points[0][1]) for curve in found.curves("IoU", 1)] == [
        ("answer", 0.5),
        ("anchor 1", 0.25),
        ("anchor 2", 0.75),
    ]
    assert [curve.name for curve in found.curves("mixture drawn", 0)] == ["tvg"]
    assert found.curves("groups of equal rewards", 0)[0].points[0] == (0.0, 0.0)
    assert found.curves("refining", 0)[0].points[0] == (0.0, 1.0)
    assert (found.num_traces, found.stages) == (6, {"explore": (0, 3)})


def test_queries_of_both_runs_come_first() -> None:
    assert most_asked([tallies_of("a", "b", "a")], 1) == ["a"]
    assert most_asked([tallies_of("a", "b", "a"), tallies_of("b", "c", "c", "c")], 2) == ["b", "c"]
    other = Tallies()
    other.add([replace(GOOD_TRACE, task=Task.ACTION_RECOGNITION)])
    assert most_asked([other], 3) == []


def of_stages(**stages: tuple[int, int]) -> Tallies:
    """A group a step in each stage, from its first step to its last."""
    found = Tallies()
    for stage, (first, last) in stages.items():
        for step in range(first, last + 1):
            found.add([replace(GOOD_TRACE, stage=stage, step=step)])
    return found


def test_stages_that_sample_nothing() -> None:
    found = of_stages(explore=(0, 2), refine=(6, 8))
    assert found.silent == [(3, 6)] == found.curves("reward", 0)[0].silent
    names = ["base", "explore", "imitate", "refine"]
    assert list(found.bands(names).items()) == [("explore", (0, 3)), ("imitate", (3, 6)), ("refine", (6, 9))]
    assert list(found.bands([])) == ["explore", "refine"]
    cold = of_stages(rl=(4, 5))
    assert cold.silent == [(0, 4)] and list(cold.bands(["base", "warm", "cold", "rl"])) == ["warm, cold", "rl"]
    assert of_stages(a=(0, 1), b=(2, 3)).silent == []
