import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tvg_lightning.schema import Task
from tvg_lightning.tasks.mixture import Mixture

PUBLISHED = Mixture(0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"tvg": 0.5}, "mixture: the shares add up to 0.5"),
        ({"verb_completion": 0.2}, "mixture: the shares add up to 1.2"),
        ({"tvg": 1.5}, r"mixture\.tvg is 1.5"),
        ({"tvg": 1.2, "verb_completion": -0.2}, r"mixture\.tvg"),
        ({"video_description": float("nan")}, r"mixture\.video_description is nan"),
    ],
)
def test_bad_shares_are_refused_by_name(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(**shares)


def test_shares_rounded_by_hand_are_accepted() -> None:
    Mixture(0.8, 0.0667, 0.0667, 0.0667)


def test_shares_come_out_as_asked() -> None:
    drawn = Counter(PUBLISHED.draw(seed=1, epoch=0, index=i) for i in range(20_000))
    assert drawn[Task.TVG] / 20_000 == pytest.approx(0.8, abs=0.01)
    for task in (Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION):
        assert drawn[task] / 20_000 == pytest.approx(0.2 / 3, abs=0.006)


def test_a_share_of_zero_is_never_drawn() -> None:
    mixture = Mixture(0.0, 0.5, 0.0, 0.5)
    assert {mixture.draw(0, 0, i) for i in range(500)} == {Task.VERB_COMPLETION, Task.VIDEO_DESCRIPTION}


def test_seed_epoch_and_index_all_matter() -> None:
    mixture = Mixture(0.25, 0.25, 0.25, 0.25)
    base = [mixture.draw(0, 0, i) for i in range(100)]
    assert base == [mixture.draw(0, 0, i) for i in range(100)]
    assert base != [mixture.draw(1, 0, i) for i in range(100)]
    assert base != [mixture.draw(0, 1, i) for i in range(100)]
    assert base[1:] != [mixture.draw(0, 0, i) for i in range(99)]


def test_another_process_draws_the_same() -> None:
    """Python's own hash() of a string differs between processes; ranks must not."""
    code = (
        "from tvg_lightning.tasks.mixture import Mixture;"
        "m = Mixture(.25, .25, .25, .25); import sys;"
        "sys.stdout.write(' '.join(m.draw(7, 2, i) for i in range(50)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    mixture = Mixture(0.25, 0.25, 0.25, 0.25)
    assert done.stdout.split() == [mixture.draw(7, 2, i).value for i in range(50)]
