"""Constant groups are replaced, minibatches come in turn, and a checkpoint keeps what the coming updates need."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.modules import rollouts
from tvg_lightning.modules.grpo import GRPOObjective
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.rollouts import Group, Minibatch, Rollout, Sampled, Sampler
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion, generate
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.rewards.total import RewardParts, Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Method, Prompt, Sample, Span, Task

TIME_R1 = AnswerFormat(Method.TIME_R1)

CLIP = VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 1.0), 2.0, "none")
ENCODED = EncodedPrompt(torch.zeros(1, dtype=torch.long), torch.zeros(3, 1), torch.zeros(4, 1176), (1, 2, 2))
POLICY = cast(PolicyBackbone, SimpleNamespace(device=torch.device("cpu")))
CONTEXT = StepContext(seed=0, stage="explore", step=7, epoch=0)


def item(name: str, task: Task = Task.TVG) -> Item:
    sample = Sample(name, f"{name}.mp4", 10.0, "The red circle rises.", (Span(0.0, 4.0),))
    return Item(sample, task, Prompt("?"), CLIP, (), position=sum(map(ord, name)))


def group(name: str, *rewards: float, answers: Sequence[Span | None] | None = None, task: Task = Task.TVG) -> Group:
    spans = answers or [None] * len(rewards)
    scores = [
        RewardParts({"iou": r}, r, Answer(True, None if span is None else (span,)))
        for r, span in zip(rewards, spans, strict=True)
    ]
    completions = [Completion((1, 2), "text", (-1.0, -3.0), truncated=number > 0) for number in range(len(rewards))]
    return Group(item(name, task), ENCODED, torch.zeros(1, 4), completions, scores)


GROUPS = {
    "constant": group("constant", 0.5, 0.5),
    "good": group("good", 0.0, 1.0),
    "level": group("level", 0.0, 0.0),
    "fresh": group("fresh", 1.0, 0.0),
    "other": group("other", 0.2, 0.3),
    "plain": group("plain", 1.0, 1.0),
}


def settings(**changes: Any) -> GRPOSettings:
    return GRPOSettings(num_generations=2, **changes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Generation gives the groups above by the names of the items; the list shows what was asked."""
    calls: list[list[str]] = []

    def groups(sampler: object, items: Sequence[Item]) -> list[Group]:
        calls.append([i.sample.sample_id for i in items])
        return [GROUPS[name] for name in calls[-1]]

    monkeypatch.setattr(Sampler, "_groups", groups)
    return calls


def draws(*names: Sequence[str]) -> tuple[rollouts.DrawItems, list[tuple[str, int]]]:
    keys: list[tuple[str, int]] = []

    def draw(key: str, count: int) -> list[Item]:
        keys.append((key, count))
        return [item(name) for name in names[len(keys) - 1]]

    return draw, keys


def named(groups: Sequence[Group]) -> list[str]:
    return [g.item.sample.sample_id for g in groups]


def sample_all(names: Sequence[str], draw: rollouts.DrawItems, **changes: Any) -> Sampled:
    items = [item(name) for name in names]
    rewards = Rewards(TIME_R1, RewardWeights(iou=1.0))
    sampler = Sampler(POLICY, settings(**changes), rewards, generate, CONTEXT, Phases())
    return rollouts.dynamic_sampling(sampler, items, draw)


def test_without_rounds_constant_groups_stay(asked: list[list[str]]) -> None:
    sampled = sample_all(["constant", "good"], draws()[0])
    assert (named(sampled.groups), sampled.replaced) == (["constant", "good"], [])


def test_constant_groups_are_replaced_in_their_places(asked: list[list[str]]) -> None:
    draw, keys = draws(["plain", "fresh"], ["other"])
    sampled = sample_all(["constant", "good", "level"], draw, resampling_rounds=5)
    assert keys == [("explore 7 0", 2), ("explore 7 1", 1)], "two are constant, then one; then none"
    assert named(sampled.groups) == ["fresh", "good", "other"]
    assert named(sampled.replaced) == ["plain", "constant", "level"], "every group that was sampled is accounted for"


def test_the_rounds_are_bounded(asked: list[list[str]]) -> None:
    draw, keys = draws(["plain"], ["plain"])
    sampled = sample_all(["constant", "good"], draw, resampling_rounds=2)
    assert len(keys) == 2 and named(sampled.groups) == ["constant", "good"]


def test_a_rollout_is_generated_a_minibatch_at_a_time(asked: list[list[str]]) -> None:
    sample_all(["constant", "good", "level", "fresh"], draws()[0], num_minibatches=2)
    assert asked == [["constant", "good"], ["level", "fresh"]]


def test_each_completion_has_an_order_of_its_own_that_follows_from_its_place() -> None:
    rewards = Rewards(TIME_R1, RewardWeights(frame_dependence=0.3))
    clip = VideoClip(torch.zeros(16, 28, 28, 3, dtype=torch.uint8), tuple(n / 2 for n in range(16)), 2.0, "none")
    asked = replace(item("a"), clip=clip)

    def orders(context: StepContext, of: Item = asked) -> Any:
        return Sampler(POLICY, GRPOSettings(num_generations=4), rewards, generate, context, Phases())._orders(of)

    found = orders(CONTEXT)
    assert len(found) == 4 and len({tuple(order) for order in found}) == 4
    assert orders(replace(CONTEXT, step=9, epoch=2, world_size=4)) == found, "a resumed run shuffles the same"
    assert found not in [
        orders(replace(CONTEXT, seed=1)),
        orders(replace(CONTEXT, stage="refine")),
        orders(CONTEXT, replace(asked, position=asked.position + 1)),
    ]
    assert orders(CONTEXT, replace(asked, task=Task.ACTION_RECOGNITION)) is None


def test_minibatches_come_in_turn() -> None:
    parts = [Minibatch([], [], None, [], [], torch.zeros(1, 2)) for _ in range(2)]
    rollout = Rollout(parts)
    assert [parts.index(rollout.next_minibatch()) for _ in range(1)] == [0]
    order = [rollout.next_minibatch() for _ in range(4)]
    assert [order[i] is parts[(i + 1) % 2] for i in range(4)] == [True] * 4
    assert rollout.num_taken == 5


def test_a_rollout_is_used_up_by_its_own_minibatches() -> None:
    """Also when the settings say fewer updates than when it was made."""
    rollout = Rollout([Minibatch([], [], None, [], [], torch.zeros(1, 2)) for _ in range(2)], num_taken=3)
    assert [rollout.is_used_up(num_iterations) for num_iterations in (1, 2)] == [True, False]
    rollout.next_minibatch()
    assert rollout.is_used_up(2)


def test_a_reference_that_a_checkpoint_lacks_is_missed_at_once() -> None:
    objective = GRPOObjective(settings(beta=0.1), Rewards(TIME_R1, RewardWeights(iou=1.0)))
    with pytest.raises(ValueError, match=r"grpo\.beta is 0\.1, but the run began with 0"):
        objective.load_state_dict({"reference": None, "rollouts": None})


def test_a_checkpoint_in_the_middle_of_an_update_is_of_the_state_before_it() -> None:
    parts = [Minibatch([], [], None, [], [], torch.zeros(1, 2)) for _ in range(2)]
    objective = GRPOObjective(settings(num_minibatches=2), Rewards(TIME_R1, RewardWeights(iou=1.0)))
    objective.rollout, objective._before = Rollout(parts, num_taken=1), (4, None)
    assert objective.state_dict(unfinished=4)["rollouts"] is None, "its first update: the rollout is made again"
    objective.rollout, objective._before = None, (5, Rollout(parts, num_taken=1))  # used up by the update that failed
    (saved,) = objective.state_dict(unfinished=5)["rollouts"]
    assert saved["num_taken"] == 1 and len(saved["minibatches"]) == 2
    assert objective.state_dict()["rollouts"] is None
    assert objective.state_dict(unfinished=6)["rollouts"] is None, "step 6 did not come to its rollout"


def test_rewards_are_equal_where_the_advantage_says_so() -> None:
    """0.1 + 0.2 and 0.3 differ in the last bit of a double, and in nothing of the float32 that is learned from."""
    assert group("a", 0.1 + 0.2, 0.3).is_constant and not group("a", 0.3, 0.31).is_constant
