"""Budgets in pixels are refused in one sentence, wherever they stand."""

from pathlib import Path

import pytest
import yaml

import train
from tvg_lightning.__main__ import main

SENTENCE = (
    r"frames\.max_pixels and frames\.total_pixels are gone, budgets are counted in tokens: "
    r"write frames\.max_tokens 768, frames\.total_tokens 3584 \(28 x 28 = 784 pixels a token\)$"
)
OLD = {"fps": 2.0, "max_pixels": 602112, "total_pixels": 2809856}
QUICKSTART = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")


def written(path: Path, config: object) -> str:
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("is_included", [False, True])
def test_in_a_config_on_top_of_a_recipe(is_included: bool, tmp_path: Path) -> None:
    written(tmp_path / "frames.yaml", OLD)
    overlay = written(tmp_path / "overlay.yaml", {"data": {"frames": "frames.yaml" if is_included else OLD}})
    with pytest.raises(ValueError, match=rf"^{SENTENCE}"):
        train.main(["fit", "--config", QUICKSTART, "--config", overlay])


def test_a_limit_that_is_lifted(tmp_path: Path) -> None:
    overlay = written(tmp_path / "overlay.yaml", {"data": {"frames": {"total_pixels": None}}})
    with pytest.raises(ValueError, match=r"^frames\.total_pixels is gone.*: write frames\.total_tokens null \("):
        train.main(["fit", "--config", QUICKSTART, "--config", overlay])


@pytest.mark.parametrize("option", [["--data.frames.max_pixels", "784"], ["--data.frames.max_pixels=784"]])
def test_on_the_command_line(option: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^frames\.max_pixels is gone.*: write frames\.max_tokens 1 \("):
        train.main(["fit", "--config", QUICKSTART, *option])


def test_in_commands(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: max_pixels is gone.*: write max_tokens 128 \("):
        main(["plan", "--max_pixels", "100352"])
    with pytest.raises(SystemExit, match=r"^error: frames\.min_pixels is gone.*: write frames\.min_tokens 16 \("):
        main(["annotate", "--question.frames.min_pixels", "12544"])
    with pytest.raises(SystemExit, match=f"^error: {SENTENCE}"):
        main(["annotate", "--config", written(tmp_path / "annotate.yaml", {"question": {"frames": OLD}})])
