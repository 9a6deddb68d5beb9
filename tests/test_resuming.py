"""A checkpoint under other settings than those it was written with, and in the precisions that are offered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import train
from tests.doubles import losses
from tests.runs import grpo, stage, write_config

SHORT = {"generation": {"max_new_tokens": 12}}
Fit = Callable[..., Path]


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Fit:
    """``fit(name, *args)`` trains two steps of GRPO, once a name; gives the folder of the run."""
    folders: dict[str, Path] = {}

    def run(name: str, *args: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("run")
            config = write_config(folders[name], shapes, stages=[stage("only", 2, **grpo(**SHORT))])
            train.main(["fit", "--config", str(config), *args])
        return folders[name]

    return run


def again(folder: Path, subcommand: str, *args: str) -> None:
    """The run's config and final checkpoint, with other arguments."""
    checkpoint = str(folder / "checkpoints" / "final.ckpt")
    train.main([subcommand, "--config", str(folder / "config_in.yaml"), "--ckpt_path", checkpoint, *args])


LORA = ("--tuning", "lora", "--model.init_args.policy.lora_rank", "4")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((*LORA, "--model.init_args.policy.lora_alpha", "64"), r"policy\.lora_alpha 32, the config has 64"),
        (("--tuning", "lora"), r"policy\.lora_rank 4, the config has 16"),
        ((), r"policy\.tuning lora, the config has full"),
    ],
)
@pytest.mark.parametrize("subcommand", ["validate", "fit"])
def test_adapters_under_other_settings_mean_another_policy(
    subcommand: str, args: tuple[str, ...], words: str, fit: Fit
) -> None:
    with pytest.raises(ValueError, match=f"the checkpoint was written with {words}"):
        again(fit("lora", *LORA), subcommand, *args)


def test_adapters_are_put_where_there_were_some(fit: Fit) -> None:
    with pytest.raises(ValueError, match=r"policy\.tuning full, the config has lora"):
        again(fit("full"), "validate", "--tuning", "lora")


def of_another_module(folder: Path, tmp_path: Path) -> str:
    """The config of a run with its single stage as a module of its own."""
    config: dict[str, Any] = yaml.safe_load((folder / "config_in.yaml").read_text(encoding="utf-8"))
    own = config["model"]["init_args"].pop("stages")[0]
    config["model"]["class_path"] = "tvg_lightning.modules.grpo.GRPOModule"
    config["model"]["init_args"] |= {key: own[key] for key in ("grpo", "reward", "optimizer")}
    config["trainer"]["default_root_dir"] = str(tmp_path)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(tmp_path / "other.yaml")


def test_weights_are_all_that_an_evaluation_takes(fit: Fit, tmp_path: Path) -> None:
    """A checkpoint of a staged run under a config of one stage; to train on from it is refused."""
    folder = fit("full")
    args = ["--config", of_another_module(folder, tmp_path), "--ckpt_path", str(folder / "checkpoints" / "final.ckpt")]
    train.main(["validate", *args])
    with pytest.raises(ValueError, match="the checkpoint is of a StagedModule, the config has a GRPOModule"):
        train.main(["fit", *args])


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_every_precision_that_is_offered_trains_and_answers(tuning: str, fit: Fit) -> None:
    folder = fit(f"bf16-true {tuning}", "--trainer.precision", "bf16-true", "--tuning", tuning)
    assert len(losses(folder / "losses.jsonl")) == 2
    saved = torch.load(folder / "checkpoints" / "final.ckpt", weights_only=True)["state_dict"]
    assert {weight.dtype for weight in saved.values()} == {torch.bfloat16}
    for subcommand in ("validate", "predict"):
        again(folder, subcommand, "--trainer.precision", "bf16-true", "--tuning", tuning)


def test_last_means_the_last_checkpoint_of_the_run(fit: Fit, tmp_path: Path) -> None:
    """Lightning's own word starts anew where it finds none of its callback's files."""
    folder = fit("ended early", "--trainer.max_steps", "1")
    config = str(folder / "config_in.yaml")
    train.main(["fit", "--config", config, "--ckpt_path", "last"])
    assert [batch for _, batch, _ in losses(folder / "losses.jsonl")] == [0, 1]
    with pytest.raises(ValueError, match=r"ckpt_path: there is no checkpoint .*checkpoints/last\.ckpt"):
        train.main(["fit", "--config", config, "--trainer.default_root_dir", str(tmp_path), "--ckpt_path", "last"])


@pytest.mark.parametrize(
    ("word", "words"), [("best", "give a file, or last"), ("/no/such.ckpt", r"no checkpoint /no/such")]
)
def test_a_checkpoint_that_is_not_there_is_missed_before_any_weight_loads(
    word: str, words: str, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(fit("full") / "config_in.yaml")
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    with pytest.raises(ValueError, match=f"ckpt_path: .*{words}"):
        train.main(["validate", "--config", config, "--ckpt_path", word])
