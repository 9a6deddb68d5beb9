"""Every YAML in configs/ does what it says: recipes parse for 3B and 7B, their tiny twins are the same and train."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForImageTextToText

import train
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.filter.tvg_r1 import TVGR1Rule, split_by_teacher
from tvg_lightning.parsing import read_strict
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.loading import ARCHITECTURES
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.prompts import read_templates
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.tools import export, plan
from tvg_lightning.traces import read_traces

TVG_R1 = AnswerFormat(Method.TVG_R1)

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))
RECIPES = [
    "invert4tvg/recipe.yaml",
    "ora_rl/recipe.yaml",
    "tar_tvg/1_explore.yaml",
    "tar_tvg/2_imitate.yaml",
    "tar_tvg/3_refine.yaml",
    "tar_tvg/recipe.yaml",
    "taro/recipe.yaml",
    "time_r1/finetune.yaml",
    "time_r1/recipe.yaml",
    "timelens/recipe.yaml",
    "timelens/with_sft.yaml",
    "timelens2/recipe.yaml",
    "tvg_r1/cold_start.yaml",
    "tvg_r1/recipe.yaml",
    "tvg_r1/rl.yaml",
]
# whose targets are a harvest, or written by a command first
LEARN_TARGETS = [
    "quickstart.yaml",
    "tar_tvg/recipe.yaml",
    "tar_tvg/2_imitate.yaml",
    "timelens/with_sft.yaml",
    "timelens2/recipe.yaml",
]
OVERLAYS = [name for name in FILES if name.split("/")[0] in ("data", "eval", "policy", "strategy", "tuning")]
WARM_START = "taro/warm_start.yaml"  # laid over TaRO's recipe alone
POLICIES = {
    "qwen2_5_vl_3b": "Qwen/Qwen2.5-VL-3B-Instruct",
    "qwen2_5_vl_7b": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen2_vl_2b": "Qwen/Qwen2-VL-2B-Instruct",
    "qwen2_vl_7b": "Qwen/Qwen2-VL-7B-Instruct",
    "qwen3_vl_2b": "Qwen/Qwen3-VL-2B-Instruct",
    "qwen3_vl_4b": "Qwen/Qwen3-VL-4B-Instruct",
    "qwen3_vl_8b": "Qwen/Qwen3-VL-8B-Instruct",
    "qwen3_vl_32b": "Qwen/Qwen3-VL-32B-Instruct",
}
EVERY_TIME = ("qwen2_5_vl_3b", "qwen3_vl_8b")  # the others with the slow tests
TEACHER = CONFIGS / "tvg_r1/tiny/teacher.jsonl"

# All that a twin may have of its own: sizes, the machine, the data, and a learning rate to match.
SIZES = {
    "trainer": {
        "accelerator", "check_val_every_n_epoch", "default_root_dir", "devices", "limit_train_batches", "max_epochs",
        "max_steps", "precision", "strategy",
    },
    "model": {"checkpoint", "dtype", "gradient_checkpointing", "max_new_tokens", "lr", "steps", "epochs", "batch_size"},
    "data": {
        "videos", "train", "val", "test", "predict", "targets", "frames", "batch_size", "eval_batch_size",
        "num_workers",
    },
}  # fmt: skip


def twin_of(recipe: str) -> str:
    folder, name = recipe.split("/")
    return f"{folder}/tiny/{name}"


def with_configs(*paths: Path) -> list[str]:
    return [arg for path in paths for arg in ("--config", str(path))]


@cache
def resolved(*names: str) -> dict[str, Any]:
    """The settings of a run with these files, one over the other, as ``--print_config`` shows them."""
    printed = io.StringIO()
    with pytest.raises(SystemExit) as ended, redirect_stdout(printed):
        train.main(["fit", *with_configs(*(CONFIGS / name for name in names)), "--print_config"])
    assert ended.value.code == 0
    config: dict[str, Any] = yaml.safe_load(printed.getvalue())
    return config


def leaves(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value of a config with its path; items of a list count as keys."""
    if isinstance(tree, Mapping):
        branches = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        branches = [(str(number), value) for number, value in enumerate(tree)]
    else:
        yield path, tree
        return
    for key, value in branches:
        yield from leaves(value, (*path, key))


def is_size(path: tuple[str, ...]) -> bool:
    return bool(SIZES.get(path[0], set()).intersection(path))


# ---- what the files say


def test_every_recipe_is_tested_and_has_a_twin() -> None:
    shared = [name for name in FILES if name.startswith(("parts/", "prompts/"))]
    twins = [twin_of(recipe) for recipe in RECIPES]
    assert sorted([*RECIPES, *twins, *OVERLAYS, *shared, WARM_START, "quickstart.yaml"]) == FILES


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_twin_differs_from_its_recipe_in_size_alone(recipe: str) -> None:
    full = dict(leaves(resolved(recipe)))
    tiny = dict(leaves(resolved(recipe, twin_of(recipe))))
    differing = {path for path in full.keys() | tiny.keys() if full.get(path) != tiny.get(path)}
    assert {".".join(path) for path in differing if not is_size(path)} == set()
    assert tiny[("model", "init_args", "policy", "checkpoint")] == "tiny"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "overlay", [pytest.param(one, marks=() if one in EVERY_TIME else pytest.mark.slow) for one in POLICIES]
)
def test_a_recipe_is_of_7b_and_an_overlay_makes_it_another(recipe: str, overlay: str) -> None:
    """Nothing but the checkpoint changes: what is trained of the vision side stays the recipe's."""
    checkpoint = ("model", "init_args", "policy", "checkpoint")
    large = dict(leaves(resolved(recipe)))
    if recipe not in ("tar_tvg/3_refine.yaml", "tvg_r1/rl.yaml"):  # they go on from the stage before
        assert large[checkpoint] == POLICIES["qwen2_5_vl_7b"]
    assert dict(leaves(resolved(recipe, f"policy/{overlay}.yaml"))) == large | {checkpoint: POLICIES[overlay]}


def test_every_architecture_has_its_overlay() -> None:
    assert sorted(POLICIES) == sorted(file.stem for file in ARCHITECTURES.glob("*.json"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_rewards_are_the_published_ones(recipe: str) -> None:
    config = resolved(recipe)
    settings = config["model"]["init_args"]
    method = Method(config["data"]["method"])
    for stage in settings.get("stages", [settings]):
        if stage.get("grpo") is None:
            continue
        expected = RewardWeights.published(method)
        if recipe == "time_r1/finetune.yaml":  # the release fine-tunes on the plain IoU
            expected = RewardWeights(format=1.0, iou=1.0)
        assert stage["reward"] == {**asdict(expected), "extra": []}  # a tuple of the class, a list in YAML
        assert stage["grpo"]["num_generations"] == 8


@pytest.mark.parametrize("recipe", RECIPES)
def test_full_tuning_has_float32_weights(recipe: str) -> None:
    """AdamW's step of 1e-6 is smaller than half of what lies between two bfloat16 numbers, and would be lost."""
    config = resolved(recipe)
    assert config["model"]["init_args"]["policy"]["dtype"] == "float32"
    assert config["trainer"]["precision"] == "bf16-mixed"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_changes_what_it_names(overlay: str) -> None:
    """On the quickstart, whose stages must stay, and for 7B on a file that starts from a folder."""
    below = "tvg_r1/rl.yaml" if "7b" in overlay else "quickstart.yaml"
    before, after = dict(leaves(resolved(below))), dict(leaves(resolved(below, overlay)))
    named = dict(leaves(yaml.safe_load((CONFIGS / overlay).read_text(encoding="utf-8"))))
    assert after | named == after
    lists = {path[:-1] for path in named if path[-1].isdigit()}  # an overlay's list takes the place of the whole list
    before = {path: value for path, value in before.items() if path[:-1] not in lists}
    objects = [path[:-1] for path in named if path[-1] == "class_path"]  # these also get their own defaults

    def beside_objects(config: Mapping[tuple[str, ...], object]) -> dict[tuple[str, ...], object]:
        return {path: v for path, v in config.items() if not any(path[: len(own)] == own for own in objects)}

    assert beside_objects(after) == beside_objects({**before, **named})


@pytest.mark.parametrize("method", Method)
def test_the_example_of_prompts_can_be_read(method: Method) -> None:
    templates = read_templates(CONFIGS / "prompts/example.yaml", AnswerFormat(method))
    assert "Someone says" in templates.tvg and "one verb" in templates.action_recognition


def test_the_tiny_teacher_answers_rendered_videos(shapes: Path) -> None:
    """Its traces are of the first training videos, in TVG-R1's format, and good enough for the cold start."""
    samples = {sample.sample_id: sample for sample in jsonl.read(shapes / "train.jsonl").samples}
    traces = list(read_traces(TEACHER))
    for trace in traces:
        sample = samples[trace.sample_id]
        assert (trace.query, trace.windows) == (sample.query, sample.windows)
        assert read_strict(trace.text, TVG_R1) == trace.answer
    split = split_by_teacher(list(samples.values()), traces, TVGR1Rule())
    assert len(split.cold_start) == len(traces) >= 8


# ---- what they do


@pytest.fixture
def from_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are given in the repository's root."""
    monkeypatch.chdir(ROOT)


def smaller_still(folder: Path, shapes: Path, *names: str) -> list[str]:
    """Arguments that make a twin (or the quickstart) a matter of seconds: few videos, batches and tokens."""
    split = {"name": "held_out", "annotations": str(shapes / "held_out.jsonl"), "limit": 1}
    settings = deepcopy(resolved(*names))["model"]["init_args"]
    few: dict[str, Any] = {"generation": {"max_new_tokens": 4}, "num_generations": 2}
    for stage in settings.get("stages", ()):
        stage.update(steps=1, batch_size=2, harvest_from=None)  # four tokens are no trace to harvest
        if stage["grpo"] is not None:
            stage["grpo"] |= few
    if settings.get("grpo", {}).get("oracle") is not None:
        few["num_generations"] = 4  # of which pruning must leave one
    own = {"stages": settings["stages"]} if "stages" in settings else {"grpo": few} if "grpo" in settings else {}
    config = {
        "trainer": {
            "accelerator": "cpu", "default_root_dir": str(folder), "logger": False, "enable_progress_bar": False,
            "enable_model_summary": False, "num_sanity_val_steps": 0, "check_val_every_n_epoch": 1,
            "max_epochs": None if "stages" in settings else 1,
            "limit_train_batches": 2, "log_every_n_steps": 1,
        },
        "model": {"init_args": {"evaluation": {"max_new_tokens": 4}, **own}},
        "data": {
            "videos": str(shapes / "videos"), "train": str(shapes / "train.jsonl"), "val": [split], "test": [split],
            "predict": str(shapes / "held_out.jsonl"), "frames": {"max_frames": 8}, "batch_size": 2,
            "cache": str(shapes / "cache"),
        },
    }  # fmt: skip
    path = folder / "smaller.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return with_configs(*(CONFIGS / name for name in names), path)


@pytest.mark.usefixtures("from_root")
@pytest.mark.parametrize("recipe", ["quickstart.yaml", *RECIPES])
def test_a_twin_trains(recipe: str, tmp_path: Path, shapes: Path) -> None:
    names = [recipe] if recipe == "quickstart.yaml" else [recipe, twin_of(recipe)]
    args = ["fit", *smaller_still(tmp_path, shapes, *names)]
    if recipe in LEARN_TARGETS:
        args += ["--data.targets", str(shapes / "targets.jsonl")]
    train.main(args)
    assert (tmp_path / "summary.json").is_file()
    assert (tmp_path / "checkpoints" / "final.ckpt").is_file()


@pytest.mark.usefixtures("from_root")
def test_taros_warm_start_trains(tmp_path: Path, shapes: Path) -> None:
    recipe = "taro/recipe.yaml"
    train.main(["fit", *smaller_still(tmp_path, shapes, recipe, WARM_START, twin_of(recipe))])
    traces = list(read_traces(tmp_path / "traces" / "train-rank0.jsonl"))
    assert traces and all(trace.num_given_tokens > 0 for trace in traces)


@pytest.mark.usefixtures("from_root")
def test_the_next_file_starts_where_the_last_one_ended(tmp_path: Path, shapes: Path) -> None:
    """As docs/recipes.md says it: cold start, export, RL from the exported folder."""
    first, then = "tvg_r1/cold_start.yaml", "tvg_r1/rl.yaml"
    runs = [tmp_path / "first", tmp_path / "then"]
    for folder in runs:
        folder.mkdir()
    train.main(["fit", *smaller_still(runs[0], shapes, first, twin_of(first))])
    export.main(runs[0] / "checkpoints/final.ckpt", tmp_path / "exported")
    trained = torch.load(runs[0] / "checkpoints/final.ckpt", weights_only=False)["state_dict"]
    exported = PolicyBackbone(PolicySettings(str(tmp_path / "exported"))).state_dict()
    assert all(torch.equal(exported[name.removeprefix("policy.")], value) for name, value in trained.items())
    args = smaller_still(runs[1], shapes, then, twin_of(then))
    train.main(["fit", *args, "--model.init_args.policy.checkpoint", str(tmp_path / "exported")])
    assert (runs[1] / "summary.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("from_root")
def test_one_overlay_makes_the_staged_recipe_another_familys(checkpoint: str, tmp_path: Path, shapes: Path) -> None:
    """GRPO, SFT and GRPO again, predictions, export into stock transformers, and a plan, from the same files."""
    names, overlay = ["tar_tvg/recipe.yaml", twin_of("tar_tvg/recipe.yaml")], tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"model": {"init_args": {"policy": {"checkpoint": checkpoint}}}}))
    args = [*smaller_still(tmp_path, shapes, *names), "--config", str(overlay)]
    targets = ["--data.targets", str(shapes / "targets.jsonl")]
    train.main(["fit", *args, *targets])
    last = tmp_path / "checkpoints/final.ckpt"
    rows = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert [row["steps"] for row in rows] == [1, 1, 1]
    train.main(["predict", *args, "--ckpt_path", str(last)])
    predicted, asked = (
        f.read_bytes().count(b"\n") for f in (tmp_path / "predictions-rank0.jsonl", shapes / "held_out.jsonl")
    )
    assert predicted == asked
    export.main(last, tmp_path / "exported")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "exported")
    trained = torch.load(last, weights_only=False)["state_dict"]
    base = PolicyBackbone(PolicySettings(checkpoint)).state_dict()
    name = "lm_head.weight"
    assert torch.equal(model.state_dict()[name], trained[f"policy.model.{name}"])
    assert not torch.equal(model.state_dict()[name], base[f"model.{name}"]), "it has learned"
    plan.main(policy=str(tmp_path / "exported"), frames=8, max_tokens=1, json=True)
