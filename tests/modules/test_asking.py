"""Settings of a question outside of a run, and policies by their names."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.policy.test_export import checkpoint_of, trained_policy
from tvg_lightning.__main__ import main
from tvg_lightning.modules.asking import AskSettings, ask, load_policy, num_parameters
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.settings import PolicySettings, Tuning
from tvg_lightning.schema import AnswerFormat, Method, Sample

Loaded = Callable[[str], str]


def test_settings_fit_the_policy_and_given_ones_stay() -> None:
    assert AskSettings().settled(is_tiny=True) == AskSettings(2.0, 40, 1, 96)
    assert AskSettings(max_frames=16).settled(is_tiny=False) == AskSettings(2.0, 16, 128, 512)
    for odd in (0, 1, 41):
        with pytest.raises(ValueError, match=f"--max_frames must be an even number of at least 2 .*not {odd}"):
            AskSettings(max_frames=odd)
    with pytest.raises(ValueError, match="--fps"):
        AskSettings(fps=float("nan"))


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint"):
        load_policy(str(tmp_path / "final.ckpt"))


@pytest.fixture
def answer_of(shapes: Path) -> Loaded:
    """The text that a policy answers to one question."""
    sample = Sample("1", "train_00000.mp4", 9.0, "The red square spins.", None)
    settings = AskSettings(max_new_tokens=24).settled(is_tiny=True)

    def answer(name: str) -> str:
        (found,) = ask(load_policy(name), shapes / "videos", [sample], AnswerFormat(Method.TAR_TVG), settings)
        return found.text

    return answer


@pytest.mark.parametrize("tuning", ["full", "lora", "qlora"])
def test_a_checkpoint_answers_as_its_export(tuning: Tuning, answer_of: Loaded, tmp_path: Path) -> None:
    policy = trained_policy(tuning)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            parameter.data.mul_(10.0)  # enough to be heard
    ckpt = checkpoint_of(policy, tmp_path / "x.ckpt")
    more = [] if tuning == "full" else ["--merge"]
    main(["export", "--ckpt", str(ckpt), "--out", str(tmp_path / "out"), *more])
    text = answer_of(str(ckpt))
    assert text == answer_of(str(tmp_path / "out")) and text != answer_of("tiny")


def test_a_weight_in_four_bits_counts_as_one() -> None:
    of = {tuning: num_parameters(PolicyBackbone(PolicySettings("tiny", tuning))) for tuning in ("lora", "qlora")}
    assert of["qlora"] == of["lora"] > num_parameters(PolicyBackbone(PolicySettings("tiny")))


def test_what_is_no_whole_policy_is_refused_in_a_sentence(tmp_path: Path) -> None:
    adapters = checkpoint_of(trained_policy("lora"), tmp_path / "adapters.ckpt")
    main(["export", "--ckpt", str(adapters), "--out", str(tmp_path / "peft")])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.ckpt").touch()
    content = torch.load(adapters, weights_only=True)
    content["state_dict"].popitem()
    torch.save(content, tmp_path / "torn.ckpt")
    content["hyper_parameters"]["policy"]["lora_rank"] = 2
    torch.save(content, tmp_path / "other.ckpt")

    for name, words in (
        (str(tmp_path / "peft"), "peft holds adapters, no whole model; give the run's checkpoint"),
        (str(tmp_path / "empty"), "empty has no config.json"),
        (str(tmp_path / "empty.ckpt"), "cannot be read as tensors"),
        (str(tmp_path / "torn.ckpt"), "lacks adapters that its settings ask for"),
        (str(tmp_path / "other.ckpt"), "do not fit tiny"),
        (str(TINY_FOLDER / "config.json"), "is an architecture without weights"),
    ):
        with pytest.raises(ValueError, match=words) as refused:
            load_policy(name)
        assert "\n" not in str(refused.value)


def test_a_hub_that_is_not_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise LocalEntryNotFoundError("no network\nand nothing here")

    monkeypatch.setattr("transformers.configuration_utils.cached_file", offline)
    with pytest.raises(ValueError, match=r'^--policy: cannot load "someone/a-model" .no network and nothing here'):
        load_policy("someone/a-model")
