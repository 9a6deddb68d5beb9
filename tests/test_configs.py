"""Every YAML in configs/ trains through ``train.main``: overlays on the quickstart, tiny recipes."""

from pathlib import Path

import pytest
import yaml

import train

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
RECIPES = [name for name in FILES if "stages" in (CONFIGS / name).read_text(encoding="utf-8")]


def small(folder: Path, shapes: Path, recipe: str) -> Path:
    """What makes any recipe a test: the tiny policy, a few rendered videos, one device, one step a stage."""
    stages = yaml.safe_load((CONFIGS / recipe).read_text(encoding="utf-8"))["model"]["init_args"]["stages"]
    for stage in stages:
        stage.update(steps=1, batch_size=2, harvest_from=None)
        if "grpo" in stage:
            stage["grpo"].update(num_generations=2, sampling={"max_new_tokens": 4})
    split = {"name": "held_out", "annotations": str(shapes / "held_out.jsonl"), "limit": 1}
    policy = {"checkpoint": "tiny", "dtype": "float32", "gradient_checkpointing": False}
    config = {
        "trainer": {
            "accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": "32-true", "logger": False,
            "default_root_dir": str(folder), "num_sanity_val_steps": 0, "enable_progress_bar": False,
            "log_every_n_steps": 1,
        },
        "model": {"init_args": {"policy": policy, "stages": stages, "evaluation": {"max_new_tokens": 4}}},
        "data": {
            "videos": str(shapes / "videos"), "train": str(shapes / "train.jsonl"), "val": [split],
            "test": [split], "predict": str(shapes / "held_out.jsonl"), "num_workers": 0,
            "targets": str(shapes / "targets.jsonl"),
            "sampling": {"max_frames": 8, "max_pixels": 784}, "cache": str(shapes / "cache"),
        },
    }  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains(recipe: str, tmp_path: Path, shapes: Path) -> None:
    train.main(["fit", "--config", str(CONFIGS / recipe), "--config", str(small(tmp_path, shapes, recipe))])
    assert (tmp_path / "summary.json").is_file()


@pytest.mark.parametrize("overlay", [name for name in FILES if name not in RECIPES])
def test_an_overlay_lies_on_the_quickstart(overlay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train.main(
            [
                "fit",
                "--config",
                str(CONFIGS / "quickstart.yaml"),
                "--config",
                str(CONFIGS / overlay),
                "--print_config",
            ]
        )
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)

    def check(wanted: dict[str, object], found: dict[str, object]) -> None:
        for key, value in wanted.items():
            if isinstance(value, dict):
                check(value, found[key])  # type: ignore[arg-type]
            else:
                assert found[key] == value, key

    check(yaml.safe_load((CONFIGS / overlay).read_text(encoding="utf-8")), printed)
    assert len(printed["model"]["init_args"]["stages"]) == 3, "an overlay must not lose what it does not name"


def test_there_are_recipes_for_all_methods() -> None:
    assert {name.split("/")[0] for name in RECIPES} == {
        "quickstart.yaml",
        "tar_tvg",
        "tvg_r1",
        "invert4tvg",
        "time_r1",
    }
