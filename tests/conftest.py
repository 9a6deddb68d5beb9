"""What every test shares: a quiet machine, the folder of real material, the tolerances with their reasons."""

import os

# Set before anything loads OpenMP. Two threads that spin on busy cores slow small tensors by 30 to 100 times.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# spaCy, where it is installed, misreads a good third of the moving-shapes sentences
os.environ.setdefault("TVG_VERB_TAGGER", "hanta")

from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import pytest

from tests.browser import browser, opened

__all__ = ["browser", "opened"]

# how long an example takes says more about the machine than about the code
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden losses anew")


@dataclass(frozen=True)
class Tolerances:
    """How far apart two ways to the same number may be."""

    exact: float = 1e-12  # float64 sums in another order: a few ulp of numbers around 1
    logp: float = 1e-5  # float32 log-probs along two attention layouts: 2e-7 a layer, with room for depth
    ddp_loss: float = 2e-5  # a mean over two processes is summed in another order, and Adam carries that on for 4 steps
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


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rendered moving shapes: a few videos a split, and targets for SFT."""
    from tests.builders import GOOD_TRACE, write_traces
    from tvg_lightning.data.annotations import jsonl
    from tvg_lightning.data.moving_shapes.render import RenderSettings, render

    folder = tmp_path_factory.mktemp("shapes")
    for _ in render(folder, RenderSettings(train=6, held_out=3, compositional=2), num_workers=1):
        pass
    targets = []
    for sample in jsonl.read(folder / "train.jsonl").samples:
        time = f"{sample.windows[0].start_s:.1f} to {sample.windows[0].end_s:.1f}"
        text = f"<think>I see it at <timestamp>{time}</timestamp>.</think><answer>{time}</answer>"
        targets.append(replace(GOOD_TRACE, sample_id=sample.sample_id, text=text))
    write_traces(folder / "targets.jsonl", targets)
    return folder


@pytest.fixture(
    scope="session", params=["qwen2_5_vl", "qwen3_vl", "qwen2_vl"]
)  # all of ``FAMILIES``, without an import
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small checkpoint of every family: ``policy.checkpoint`` of the packaged policy, or of a random one."""
    from tests.families import PACKAGED, random_checkpoint

    if request.param == PACKAGED:
        return "tiny"
    return random_checkpoint(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def staged_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The folder of a run of three stages that nothing interrupted."""
    import train
    from tests.runs import write_config

    folder = tmp_path_factory.mktemp("staged")
    train.main(["fit", "--config", str(write_config(folder, shapes))])
    return folder


@pytest.fixture(scope="session")
def family_run(
    checkpoint: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shapes: Path
) -> Path:
    """Such a run of a policy of every family."""
    if checkpoint == "tiny":
        folder: Path = request.getfixturevalue("staged_run")
        return folder
    import train
    from tests.runs import for_checkpoint, write_config

    folder = tmp_path_factory.mktemp("staged")
    train.main(["fit", "--config", str(for_checkpoint(checkpoint, write_config(folder, shapes)))])
    return folder
