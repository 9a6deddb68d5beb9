"""SFT's step: the mean cross-entropy of the targets' tokens, over the batch of all processes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.policy.conftest import noise
from tests.runs import by_two_ranks
from tvg_lightning.data.items import Item
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.sft import sft_step
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt, Sample, Span, Task

TARGETS = ["<answer>1.0 to 2.5</answer>", "<think>It is at 3.0.</think><answer>3.0 to 4.0</answer>", "No."]


def item(number: int) -> Item:
    sample = Sample(f"s{number}", "a.mp4", 10.0, "The red circle rises.", (Span(1.0, 2.5),))
    prompt = Prompt("When does the red circle rise?"[: 10 + 5 * number])
    return Item(sample, Task.TVG, prompt, noise(28, 4, 2.0, seed=number), (), number, TARGETS[number])


ITEMS = [item(number) for number in range(3)]


@pytest.fixture(scope="module")
def policy() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings())


def by_hand(policy: PolicyBackbone) -> list[list[float]]:
    """-log p of each target's tokens, the end of the turn included; one item at a time."""
    found = []
    for one in ITEMS:
        ids = [*policy.tokenizer(one.target)["input_ids"], policy.end_id]
        with torch.no_grad():
            logp_11C, _ = policy.logp([policy.encode(one.prompt, one.clip)], [[ids]])
        found.append((-logp_11C[0, 0]).tolist())
        assert len(found[-1]) == len(ids)
    return found


def test_the_loss_is_the_mean_over_the_tokens_of_all_items(policy: PolicyBackbone) -> None:
    losses = by_hand(policy)
    tokens = [loss for target in losses for loss in target]
    mean = sum(tokens) / len(tokens)
    assert abs(mean - sum(sum(target) / len(target) for target in losses) / 3) > 0.01, "not the mean over items"
    result = sft_step(policy, ITEMS, StepContext(), Phases())
    assert float(result.loss.detach()) == pytest.approx(mean, abs=1e-5)
    assert result.num_tokens == len(tokens) and result.metrics == {"num_tokens": float(len(tokens))}
    assert result.traces == [] and result.items == []


def test_the_gradient_is_that_of_the_loss_by_hand(policy: PolicyBackbone) -> None:
    weight = policy.model.model.language_model.layers[0].mlp.up_proj.weight
    sft_step(policy, ITEMS[:1], StepContext(), Phases()).loss.backward()
    ours = weight.grad.clone()
    policy.zero_grad()
    ids = policy.text_to_ids(TARGETS[0])
    logp_11C, _ = policy.logp([policy.encode(ITEMS[0].prompt, ITEMS[0].clip)], [[ids]])
    (-logp_11C.sum() / len(ids)).backward()
    torch.testing.assert_close(ours, weight.grad)
    policy.zero_grad()
    assert ours.any()


def test_work_and_time_are_told(policy: PolicyBackbone) -> None:
    phases = Phases()
    result = sft_step(policy, ITEMS, StepContext(), phases)
    phases.end()
    assert phases.seconds.keys() == {"loss"}
    prompts = [policy.encode(one.prompt, one.clip) for one in ITEMS]
    work = policy.flops(prompts, [[policy.text_to_ids(target)] for target in TARGETS])
    assert result.flops == work.vision + work.loss + work.backward, "without a rollout"


def test_an_item_without_a_target_is_refused(policy: PolicyBackbone) -> None:
    with pytest.raises(AssertionError, match="SFT needs items with a target"):
        sft_step(policy, [ITEMS[0], replace(ITEMS[1], target=None)], StepContext(), Phases())


def _step_of(rank: int, folder: Path) -> None:
    """The first process has one item of the batch, the second the others."""
    policy = PolicyBackbone(PolicySettings())
    result = sft_step(policy, ITEMS[:1] if rank == 0 else ITEMS[1:], StepContext(world_size=2), Phases())
    (folder / str(rank)).write_text(f"{float(result.loss.detach())} {result.num_tokens}", encoding="utf-8")


def test_processes_with_other_numbers_of_tokens_share_one_mean(policy: PolicyBackbone, tmp_path: Path) -> None:
    """DDP takes the mean of the processes' gradients: the mean of their losses is the loss of one process."""
    by_two_ranks(_step_of, tmp_path)
    found = [(tmp_path / str(rank)).read_text(encoding="utf-8").split() for rank in range(2)]
    whole = sft_step(policy, ITEMS, StepContext(), Phases())
    assert sum(float(loss) for loss, _ in found) / 2 == pytest.approx(float(whole.loss.detach()), abs=1e-5)
    counts = [int(count) for _, count in found]
    assert counts[0] == len(policy.text_to_ids(TARGETS[0])) and counts[0] != counts[1]
    assert sum(counts) == whole.num_tokens
