"""From settings to a model and its tokenizer, and what is said where there is none."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.identity import base_fingerprint
from tvg_lightning.policy.loading import PACKAGED, TINY_FOLDER, load_model, load_tokenizer
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.vision_attention import WINDOWED_ATTENTION

ARCHITECTURE = str(TINY_FOLDER / "config.json")


def test_an_architecture_alone_has_random_weights_and_the_tiny_tokenizer() -> None:
    model = load_model(PolicySettings(checkpoint=ARCHITECTURE))
    packaged = load_model(PolicySettings())
    assert model.config.text_config.to_dict() == packaged.config.text_config.to_dict()
    assert {n: p.shape for n, p in model.named_parameters()} == {n: p.shape for n, p in packaged.named_parameters()}
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(model.get_parameter(name), packaged.get_parameter(name))
    ours, theirs = (load_tokenizer(PolicySettings(checkpoint=c)) for c in (ARCHITECTURE, "tiny"))
    assert ours.get_vocab() == theirs.get_vocab()


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_policy_is_small_and_loads_by_its_word(name: str) -> None:
    policy = PolicyBackbone(PolicySettings(name))
    assert policy.family.model_type == PolicyBackbone(PolicySettings(str(PACKAGED[name]))).family.model_type
    assert sum(file.stat().st_size for file in PACKAGED[name].iterdir()) < 10 * 2**20
    assert base_fingerprint(name) == base_fingerprint(str(PACKAGED[name]))


def test_an_architecture_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"policy\.checkpoint: there is no architecture file /no/such\.json"):
        load_model(PolicySettings(checkpoint="/no/such.json"))


def test_the_tower_attends_in_windows() -> None:
    assert load_model(PolicySettings()).model.visual.config._attn_implementation == WINDOWED_ATTENTION


def test_fresh_adapters_follow_from_the_seed_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    models = [load_model(PolicySettings(tuning="lora", lora_rank=4, seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    one, same, other = ({n: p for n, p in m.named_parameters() if "lora_A" in n} for m in models)
    assert len(one) == 4 * 7, "seven projections in each of the four layers"
    assert all(p.shape[0] == 4 and torch.equal(p, same[n]) and not torch.equal(p, other[n]) for n, p in one.items())
    assert all(".language_model." in name for name in one)


def test_adapters_are_float32_over_a_bfloat16_base() -> None:
    policy = PolicyBackbone(PolicySettings(tuning="lora", dtype="bfloat16"))
    dtypes = {p.dtype for p in policy.parameters() if p.requires_grad}
    assert dtypes == {torch.float32} and policy.head.dtype is torch.bfloat16


def test_a_checkpoint_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"policy.checkpoint.*/no/such/folder"):
        PolicyBackbone(PolicySettings(checkpoint="/no/such/folder"))


def test_a_checkpoint_without_a_tokenizer_is_refused(tiny: PolicyBackbone, tmp_path: Path) -> None:
    tiny.model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"policy.checkpoint: .* has no tokenizer.json"):
        PolicyBackbone(PolicySettings(checkpoint=str(tmp_path)))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The packaged policy in a folder of its own."""
    return Path(shutil.copytree(TINY_FOLDER, tmp_path / "copied"))


def test_a_folder_of_adapters_is_no_policy(copied: Path) -> None:
    """Transformers would load base and adapters, over which fresh ones would be put."""
    (copied / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"policy\.checkpoint: .*copied holds adapters.*export with --merge"):
        PolicyBackbone(PolicySettings(checkpoint=str(copied), tuning="lora"))


def test_weights_that_are_missing_are_not_made_up(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if ".layers.1." not in name}
    assert len(kept) < len(weights)
    save_file(kept, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"policy\.checkpoint: .*copied lacks \d+ weights, such as model\.language_model"
    ):
        PolicyBackbone(PolicySettings(checkpoint=str(copied)))


def test_another_architecture_is_refused_before_a_weight_is_read(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    (copied / "config.json").write_text(json.dumps({**config, "model_type": "qwen2"}), encoding="utf-8")
    (copied / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"is of the architecture qwen2; known are qwen2_5_vl, qwen3_vl, qwen2_vl"):
        PolicyBackbone(PolicySettings(checkpoint=str(copied)))


def test_a_torn_file_is_named(copied: Path) -> None:
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"policy\.checkpoint: cannot load .*copied"):
        PolicyBackbone(PolicySettings(checkpoint=str(copied)))


def test_a_tower_of_another_geometry_is_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["vision_config"]["patch_size"] = 16
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"copied.config\.json has vision_config\.patch_size, .* \(16, 2, 2\); a qwen2_5"
    ):
        PolicyBackbone(PolicySettings(checkpoint=str(copied / "config.json")))
