"""What every test shares: a quiet machine, the folder of real material, the tolerances with their reasons."""

import os

# Set before anything loads OpenMP. Two threads that spin on busy cores slow small tensors by 30 to 100 times.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Tolerances:
    """How far apart two ways to the same number may be."""

    exact: float = 1e-12  # float64 sums in another order: a few ulp of numbers around 1
    logp: float = 1e-5  # float32 log-probs along two attention layouts: 2e-7 a layer, with room for depth
    gradient: float = 1e-4  # float32 gradients of those: summed over tokens, so some ten times wider


@pytest.fixture(scope="session")
def tolerances() -> Tolerances:
    return Tolerances()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real material beside the repository; tests that need it skip where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder of real annotations and videos beside the repository")
    return folder
