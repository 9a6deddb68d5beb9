"""The weights that an engine gets are the policy's, adapters merged."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

import train
from tests.families import random_checkpoint
from tests.runs import by_two_ranks, grpo, stage, write_config
from tvg_lightning.engines.asking import Asked, SampledRow
from tvg_lightning.engines.vllm_local import EngineModel
from tvg_lightning.engines.weights import engine_weights
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.sharding import shard


def test_names_and_weights_are_a_published_checkpoints(checkpoint: str) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint))
    found = dict(engine_weights(policy))
    expected = {n: x for n, x in policy.model.state_dict().items() if not n.startswith("model.visual.")}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_are_merged(tuning: str) -> None:
    """A layer of the given weights makes of any input what the adapted layer makes of it."""
    policy = PolicyBackbone(PolicySettings(tuning=tuning)).eval()  # type: ignore[arg-type]
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    found = dict(engine_weights(policy))
    assert not [name for name in found if "lora" in name or "base_layer" in name]
    layer = policy.model.model.language_model.layers[1].self_attn.q_proj
    x = torch.randn(3, 128)
    with torch.no_grad():
        merged = x @ found["model.language_model.layers.1.self_attn.q_proj.weight"].T
        merged += found["model.language_model.layers.1.self_attn.q_proj.bias"]
        torch.testing.assert_close(merged, layer(x), rtol=1e-4, atol=1e-4)


def test_a_change_of_weights_shows_in_the_state() -> None:
    policy = PolicyBackbone(PolicySettings())
    states = [policy.weights_state]
    parameters = [p for p in policy.parameters() if p.requires_grad]
    sum(p.sum() for p in parameters).backward()
    torch.optim.AdamW(parameters, lr=1e-3).step()
    states.append(policy.weights_state)
    kept = policy.trainable_weights()
    assert policy.weights_state == states[-1]
    with policy.using(kept):
        states.append(policy.weights_state)
    assert policy.weights_state == states[-2], "they are what they were"
    with policy.using(kept):
        states.append(policy.weights_state)
        policy.note_change()
        states.append(policy.weights_state)
    states.append(policy.weights_state)  # who knows what was changed
    policy.load_trainable_weights(kept)
    states.append(policy.weights_state)
    policy.load_state_dict(policy.state_dict())
    states.append(policy.weights_state)
    policy.note_change()
    states.append(policy.weights_state)
    assert len(set(states)) == len(states)


def test_an_engine_gets_weights_when_they_have_changed_and_not_for_being_the_reference(
    tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rollouts an update, each with a KL to the reference: as many loads as there are weights."""
    monkeypatch.setattr("tvg_lightning.engines.vllm.LocalVLLM", Counting)
    monkeypatch.setattr("tvg_lightning.engines.choice.find_spec", lambda name: name)
    Counting.done = []
    given = grpo(beta=0.04, importance_correction=None, generation={"max_new_tokens": 8})
    config = write_config(tmp_path, shapes, stages=[stage("only", 3, **given)])
    more = ["--trainer.accumulate_grad_batches", "2", "--model.init_args.engine", "vllm"]
    train.main(["fit", "--config", str(config), *more])
    # a validation and two rollouts from the first weights, two rollouts twice, a validation of the last weights
    assert re.fullmatch(r"WA+AAWAAWAAWA+", "".join(Counting.done)), Counting.done


class Counting:
    """In place of a vLLM: notes when it takes weights (W) and when it answers (A), always the same."""

    done: ClassVar[list[str]] = []

    def __init__(self, model: EngineModel, *_: Any) -> None:
        pass

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        assert len(dict(weights)) > 10
        self.done.append("W")

    def generate(self, asked: Asked) -> list[SampledRow]:
        self.done.append("A")
        return [SampledRow((40 + number % 5, 41), (-1.0, -1.0), True) for number, _ in enumerate(asked.rows)]

    def release(self) -> bool:
        return False


def _gathers(rank: int, folder: Path) -> None:
    from torch.distributed.device_mesh import init_device_mesh

    for tuning in ("full", "lora"):
        whole = PolicyBackbone(PolicySettings(tuning=tuning))  # type: ignore[arg-type]
        for name, parameter in whole.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.1)
        expected = dict(engine_weights(whole))
        policy = PolicyBackbone(PolicySettings(tuning=tuning))  # type: ignore[arg-type]
        policy.load_state_dict(whole.state_dict())
        shard(policy, init_device_mesh("cpu", (2,)), torch.float32)
        state, num, most = policy.weights_state, 0, 0
        for name, weight in engine_weights(policy):
            torch.testing.assert_close(weight, expected[name], rtol=1e-6, atol=1e-6)
            num, most = num + 1, max(most, num_gathered(policy))
        assert num == len(expected)
        assert num_gathered(policy) == 0 and policy.weights_state == state
        layer = sum(p.numel() for p in whole.model.model.language_model.layers[0].parameters())
        root = whole.head.numel() + sum(p.numel() for p in rest_of(whole))
        assert most <= max(layer, root) < sum(p.numel() for p in whole.parameters()) / 2, "never two groups at once"


def rest_of(policy: PolicyBackbone) -> list[Tensor]:
    """The weights in no layer and no block, but for the head: they are gathered together."""
    names = ("visual.blocks.", "language_model.layers.", "embed_tokens")
    return [p for name, p in policy.named_parameters() if not any(part in name for part in names)]


def num_gathered(policy: PolicyBackbone) -> int:
    """Numbers of all whole weights in memory: FSDP2 keeps each in one storage, which is empty between gatherings."""
    states = [module._get_fsdp_state() for module in policy.modules() if isinstance(module, FSDPModule)]
    groups = [group for state in states for group in state._fsdp_param_groups]
    wholes = [weight for group in groups for weight in group.fsdp_params if hasattr(weight, "_unsharded_param")]
    return sum(weight._unsharded_param.untyped_storage().nbytes() // 4 for weight in wholes)


def _odd_vocabulary(rank: int, folder: Path) -> None:
    from torch.distributed.device_mesh import init_device_mesh

    policy = PolicyBackbone(PolicySettings(str(folder / "odd")))
    expected = {name: weight.clone() for name, weight in engine_weights(policy) if "layers" not in name}
    shard(policy, init_device_mesh("cpu", (2,)), torch.float32)
    kept = dict(engine_weights(policy))
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(kept[name], expected[name])


@pytest.mark.slow
def test_weights_that_vllm_reads_later_are_there_later(tmp_path: Path) -> None:
    """It pads a vocabulary of 1030, and copies what it pads when it has been given all."""
    random_checkpoint("qwen2_vl", tmp_path / "odd", vocab_size=1030)
    by_two_ranks(_odd_vocabulary, tmp_path)


@pytest.mark.slow
def test_shards_are_gathered_layer_by_layer(tmp_path: Path) -> None:
    by_two_ranks(_gathers, tmp_path)
