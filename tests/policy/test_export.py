"""Exported folders give the logits of the policy, through stock transformers and PEFT."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoTokenizer

from tests.policy.conftest import published_modules, stock_inputs
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.export import check_base, merged_weights, read_trained, write_adapters, write_model
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings, Tuning
from tvg_lightning.policy.split_attention import row_layout
from tvg_lightning.schema import Task


def trained_policy(tuning: Tuning = "full", checkpoint: str = "tiny") -> PolicyBackbone:
    """A small policy after something like training."""
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning, train_merger=tuning == "full"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return policy.eval()


def checkpoint_of(policy: PolicyBackbone, path: Path, **changes: Any) -> Path:
    """As a training module writes it: adapters alone, or everything."""
    trained = {name for name, p in policy.named_parameters() if p.requires_grad}
    keep_all = policy.settings.tuning == "full"
    state = {f"policy.{name}": x for name, x in policy.state_dict().items() if keep_all or name in trained}
    content = {"state_dict": state, "hyper_parameters": {"policy": asdict(policy.settings)}, **changes}
    torch.save(content, path)
    return path


@torch.no_grad()
def our_logits(policy: PolicyBackbone, prompt: EncodedPrompt) -> Tensor:
    layout = row_layout([len(prompt.input_ids)])
    embedded = policy.embed(prompt.input_ids[None], policy.video_features([prompt]))
    return policy.hidden_states(embedded, prompt.position_ids[:, None], layout) @ policy.head.T


def assert_same_logits(model: Any, policy: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    for prompt in prompts:
        with torch.no_grad():
            found = model.eval()(**stock_inputs(policy, prompt)).logits[0]
        # the tower's windows in one call move its features by some 5e-7, and those move logits around 13
        torch.testing.assert_close(found, our_logits(policy, prompt), atol=1e-4, rtol=0)


def test_a_fully_tuned_policy_in_stock_transformers(
    checkpoint: str, prompts: list[EncodedPrompt], tmp_path: Path
) -> None:
    policy = trained_policy(checkpoint=checkpoint)
    trained = read_trained(checkpoint_of(policy, tmp_path / "x.ckpt"))
    write_model(trained.weights, trained.settings.checkpoint, tmp_path / "out")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert_same_logits(model, policy, prompts)
    with published_modules(policy):  # the same weights by another way, in the same modules
        same = PolicyBackbone(policy.settings).eval()
    same.load_state_dict(policy.state_dict())
    same.model.model.visual.config._attn_implementation = "sdpa"
    for prompt in prompts:
        inputs = stock_inputs(policy, prompt)
        with torch.no_grad():
            assert torch.equal(model(**inputs).logits, same.model(**inputs).logits), "to the last bit"
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("3.5 to 4.5") == policy.tokenizer("3.5 to 4.5")
    greedy = GenerationSettings(max_new_tokens=8, temperature=0.0)
    prompt = prompts[0]
    expected = generate(policy, [prompt], policy.video_features([prompt]), 1, greedy)[0][0].token_ids
    found = model.generate(
        **stock_inputs(policy, prompt),
        max_new_tokens=8,
        do_sample=False,
        suppress_tokens=policy.suppressed_ids.tolist(),
    )[0, len(prompt.input_ids) :]
    assert tuple(found.tolist())[: len(expected)] == expected


def test_the_folder_is_a_base_for_us_and_nothing_of_ours_is_in_it(checkpoint: str, tmp_path: Path) -> None:
    policy = trained_policy(checkpoint=checkpoint)
    base = TINY_FOLDER if checkpoint == "tiny" else Path(checkpoint)
    write_model(read_trained(checkpoint_of(policy, tmp_path / "x.ckpt")).weights, checkpoint, tmp_path / "out")
    again = PolicyBackbone(PolicySettings(checkpoint=str(tmp_path / "out")))
    for (name, ours), theirs in zip(policy.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    published = json.loads((base / "config.json").read_text(encoding="utf-8"))
    apart = {"use_cache": False, "transformers_version": ""}  # stock models decide the one, the other is who wrote it
    assert config | apart == published | apart
    files = [folder / "model.safetensors" for folder in (tmp_path / "out", base)]
    ours, theirs = (set(safe_open(file, "pt").keys()) for file in files)
    assert ours == theirs, "the tied head is written once"


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_merged_adapters_in_stock_transformers(
    tuning: Tuning, checkpoint: str, prompts: list[EncodedPrompt], tmp_path: Path
) -> None:
    policy = trained_policy(tuning, checkpoint)
    trained = read_trained(checkpoint_of(policy, tmp_path / "x.ckpt"))
    write_model(merged_weights(trained), checkpoint, tmp_path / "out")
    assert_same_logits(AutoModelForImageTextToText.from_pretrained(tmp_path / "out"), policy, prompts)


def test_adapters_in_peft(checkpoint: str, prompts: list[EncodedPrompt], tmp_path: Path) -> None:
    policy, folder = trained_policy("lora", checkpoint), str(TINY_FOLDER) if checkpoint == "tiny" else checkpoint
    (tmp_path / "out").mkdir()
    write_adapters(read_trained(checkpoint_of(policy, tmp_path / "x.ckpt")), tmp_path / "out")
    base = AutoModelForImageTextToText.from_pretrained(folder)
    assert_same_logits(PeftModel.from_pretrained(base, tmp_path / "out"), policy, prompts)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == folder
    with safe_open(tmp_path / "out" / "adapter_model.safetensors", "pt") as file:
        assert len(file.metadata()["base_fingerprint"]) == 64
        names = set(file.keys())
    assert len(names) == policy.text_config.num_hidden_layers * 7 * 2
    assert "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight" in names


def test_adapters_of_another_base_are_refused(tmp_path: Path) -> None:
    path = checkpoint_of(trained_policy("lora"), tmp_path / "x.ckpt", base={"fingerprint": "0" * 64})
    with pytest.raises(ValueError, match="not the base that these adapters were trained on"):
        check_base(read_trained(path))


def test_settings_as_objects_can_be_read(tmp_path: Path) -> None:
    """A module that was made in Python keeps the objects it was given."""
    policy = trained_policy("lora")
    parameters = {"policy": policy.settings, "task": Task.TVG}
    assert read_trained(checkpoint_of(policy, tmp_path / "x.ckpt", hyper_parameters=parameters)).settings == (
        policy.settings
    )


class Evil:
    """Runs what it likes when a pickle of it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('code of a checkpoint has run')",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"callbacks": Evil()}, "cannot be read as tensors and plain values"),
        ({"hyper_parameters": {}}, "does not name its policy"),
        ({"hyper_parameters": {"policy": {"chekpoint": "tiny"}}}, "policy.chekpoint"),
        ({"state_dict": {"other": torch.zeros(1)}}, "no weights"),
    ],
)
def test_other_files_are_refused(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    policy = PolicyBackbone(PolicySettings())
    with pytest.raises(ValueError, match=complaint):
        read_trained(checkpoint_of(policy, tmp_path / "x.ckpt", **change))
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(ValueError, match="cannot be read"):
        read_trained(tmp_path / "text.ckpt")
    with pytest.raises(ValueError, match="consolidate_checkpoint"):
        read_trained(tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ModuleType("tvg_lightning.gone")
    gone.Settings = type("Settings", (), {"__module__": "tvg_lightning.gone"})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tvg_lightning.gone", gone)
        settings = {"policy": gone.Settings()}  # type: ignore[attr-defined]
        path = checkpoint_of(PolicyBackbone(PolicySettings()), tmp_path / "x.ckpt", hyper_parameters=settings)
    with pytest.raises(ValueError, match=r"names tvg_lightning\.gone\.Settings, which this version"):
        read_trained(path)


def test_adapters_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    trained = read_trained(checkpoint_of(trained_policy("lora"), tmp_path / "x.ckpt"))
    odd = {name.replace("layers.0", "layers.9"): x for name, x in trained.weights.items()}
    with pytest.raises(ValueError, match=r"it has no .*layers\.9"):
        merged_weights(replace(trained, weights=odd))
    wide = {name: torch.zeros(3, 3) for name in trained.weights}
    with pytest.raises(ValueError, match="do not fit"):
        merged_weights(replace(trained, weights=wide))


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    trained = read_trained(checkpoint_of(trained_policy(), tmp_path / "x.ckpt"))
    fewer = {name: x for name, x in trained.weights.items() if "layers.3" not in name}
    with pytest.raises(ValueError, match="do not fit the architecture of tiny"):
        write_model(fewer, "tiny", tmp_path / "out")
