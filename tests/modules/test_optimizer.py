"""Each part of the policy in its group, with its own rates; the names give the optimizers they say."""

import bitsandbytes as bnb
import pytest
import torch

from tvg_lightning.modules.optimizer import make_optimizer, parameter_groups, state_by_name, state_by_number
from tvg_lightning.modules.optimizer_settings import OptimizerSettings, PartSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.loading import PACKAGED
from tvg_lightning.policy.settings import PolicySettings

OWN = OptimizerSettings(lr=1e-3, weight_decay=0.1, merger=PartSettings(lr=2e-3), vision_tower=PartSettings(1e-4, 0.0))


@pytest.fixture(scope="module")
def policy() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings(train_vision_tower=True, train_merger=True))


def test_three_parts_with_their_own_rates(policy: PolicyBackbone) -> None:
    groups = parameter_groups(policy, OWN)
    assert [(g["name"], g["lr"], g["weight_decay"]) for g in groups] == [
        ("language_model", 1e-3, 0.1), ("merger", 2e-3, 0.1), ("vision_tower", 1e-4, 0.0)
    ]  # fmt: skip
    names = {id(p): name for name, p in policy.named_parameters()}
    found = [{names[id(p)] for p in group["params"]} for group in groups]
    assert all(".visual." not in name for name in found[0]) and all(".visual.merger." in name for name in found[1])
    assert all(".visual." in name and ".merger." not in name for name in found[2])
    trained = {name for name, p in policy.named_parameters() if p.requires_grad}
    assert sum(map(len, found)) == len(trained) and set.union(*found) == trained


@pytest.mark.parametrize("checkpoint", PACKAGED)
def test_the_mergers_of_the_family_are_one_part(checkpoint: str) -> None:
    """Those of deepstack, too: ``train_merger`` trains them, so ``optimizer.merger`` is about them."""
    policy = PolicyBackbone(PolicySettings(checkpoint, train_vision_tower=True, train_merger=True))
    (_, mergers, tower), visual = parameter_groups(policy, OWN), policy.model.model.visual
    assert (mergers["name"], tower["name"]) == ("merger", "vision_tower")
    expected = [parameter for merger in policy.family.mergers(visual) for parameter in merger.parameters()]
    assert {id(parameter) for parameter in mergers["params"]} == {id(parameter) for parameter in expected}
    assert len(tower["params"]) == len(list(visual.parameters())) - len(expected) > 0


def test_a_part_that_is_not_trained_has_no_group() -> None:
    groups = parameter_groups(PolicyBackbone(PolicySettings(tuning="lora")), OWN)
    assert [group["name"] for group in groups] == ["language_model"]


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adamw_8bit", bnb.optim.AdamW8bit)])
def test_an_optimizer_by_one_word(name: str, kind: type, policy: PolicyBackbone) -> None:
    optimizer = make_optimizer(policy, OptimizerSettings(name=name))  # type: ignore[arg-type]
    assert type(optimizer) is kind
    before = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    after = [p for group in optimizer.param_groups for p in group["params"]]
    assert all(bool((b > a).all()) for a, b in zip(after, before, strict=True)), "a step down the gradient"
    policy.zero_grad()


def test_pages_need_a_gpu(policy: PolicyBackbone) -> None:
    with pytest.raises(ValueError, match="paged_adamw_8bit needs a GPU"):
        make_optimizer(policy, OptimizerSettings(name="paged_adamw_8bit"))


def test_a_negative_rate_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="lr of a part must not be negative"):
        PartSettings(lr=-1.0)


def test_a_state_by_name_and_back() -> None:
    """By hand; a sharded run may give its groups and names in another order."""
    numbered = {
        "state": {0: {"step": 1}, 2: {"step": 3}},
        "param_groups": [{"lr": 0.1, "params": [0, 1]}, {"lr": 0.2, "params": [2]}],
    }
    named = {
        "state": {"a": {"step": 1}, "c": {"step": 3}},
        "param_groups": [{"lr": 0.1, "params": ["a", "b"]}, {"lr": 0.2, "params": ["c"]}],
    }
    names = ["a", "b", "c"]
    assert state_by_name(numbered, names) == named == state_by_name(named, names)
    assert state_by_number(named, names) == numbered
    shuffled = {
        "state": named["state"],
        "param_groups": [{"lr": 0.2, "params": ["c"]}, {"lr": 0.1, "params": ["b", "a"]}],
    }
    assert state_by_number(shuffled, names) == numbered


def test_a_state_before_the_first_update() -> None:
    """Of a checkpoint between two batches that are added up, or after an update that was skipped: no states yet."""
    numbered = {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    named = {"state": {}, "param_groups": [{"lr": 0.1, "params": ["a", "b"]}]}
    assert state_by_name(numbered, ["a", "b"]) == named == state_by_name(named, ["a", "b"])
    assert state_by_number(named, ["a", "b"]) == numbered
    assert state_by_name({}, ["a", "b"]) == {}
