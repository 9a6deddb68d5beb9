"""Completions of an engine that is not quite the policy: weights in the loss, their account, and the bound."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import train
from tests.builders import GOOD_TRACE
from tests.modules.test_grpo import resumed_equals_whole
from tests.modules.test_oracle_row import ALONE, real_group
from tests.modules.test_oracle_row import settings as oracle_settings
from tests.modules.test_rollouts import CLIP, CONTEXT
from tests.modules.test_warm_start import SAMPLE
from tests.runs import WITHOUT_VALIDATION, grpo, stage, write_config
from tvg_lightning.data.items import Item
from tvg_lightning.modules import importance_correction
from tvg_lightning.modules.grpo import GRPOObjective, grpo_update
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.importance_correction import (
    ImportanceCorrectionSettings,
    fault_of,
    importance_metrics,
)
from tvg_lightning.modules.rollout_report import with_differences
from tvg_lightning.modules.rollouts import Minibatch, Rollout, learned_rows, prepare, restored_rollout, rollout_state
from tvg_lightning.modules.step import StepResult
from tvg_lightning.modules.warm_start import WarmStartSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion, Prefixes, RolloutEngine, generate, is_policy_itself
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import LengthSettings, RewardWeights
from tvg_lightning.schema import Prompt, Task
from tvg_lightning.traces import read_traces, write_traces

CPU = torch.device("cpu")
CUT = ImportanceCorrectionSettings
# lengths differ, so that every group has good and bad completions
REWARDS = Rewards(ALONE, RewardWeights(length=1.0), length=LengthSettings(max_tokens=24, cache_tokens=23))
ITEMS = [Item(SAMPLE, Task.TVG, Prompt(text), CLIP, (), position=n) for n, text in enumerate(("When?", "Where to?"))]


@pytest.fixture(scope="module")
def policy() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings("tiny"))


def settings(**changes: Any) -> GRPOSettings:
    generation = GenerationSettings(max_new_tokens=24)
    return GRPOSettings(**{"num_generations": 4, "beta": 0.0, "generation": generation, **changes})


# ---- engines: the policy's completions, with log-probs that are not quite its own


def told(change: Callable[[Completion], tuple[float, ...]]) -> RolloutEngine:
    """An engine that samples as the policy and tells other log-probs."""

    def engine(
        policy: PolicyBackbone,
        prompts: Sequence[EncodedPrompt],
        features: Sequence[Tensor],
        num_generations: int,
        generation: GenerationSettings,
        uniform_RT: Tensor | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[list[Completion]]:
        groups = generate(policy, prompts, features, num_generations, generation, uniform_RT, prefixes)
        return [[replace(c, logp=change(c)) for c in group] for group in groups]

    return engine


def shifted(completion: Completion) -> tuple[float, ...]:
    """0.3 nats less and 0.1 more, in turn: ratios of e^0.3 and e^-0.1."""
    return tuple(logp + (0.1 if t % 2 else -0.3) for t, logp in enumerate(completion.logp))


honest, other = told(lambda c: c.logp), told(shifted)
far = told(lambda c: tuple(logp - len(c.token_ids) / 10 for logp in c.logp))  # the longer, the farther


def ratio_of_other(num_tokens: int) -> Tensor:
    return torch.tensor([-0.1 if t % 2 else 0.3 for t in range(num_tokens)]).exp()


def objective_of(engine: RolloutEngine, **changes: Any) -> GRPOObjective:
    return GRPOObjective(settings(**changes), REWARDS, engine)


def nothing(*_: Any) -> None:
    """Hears what it is told."""


def one_step(objective: GRPOObjective, policy: PolicyBackbone) -> tuple[StepResult, Tensor]:
    """The step, and the gradient of the embedding."""
    data: Any = SimpleNamespace(draw=None, report_ious=nothing, report_unreadable=nothing)
    policy.zero_grad()
    step = objective.step(policy, ITEMS, CONTEXT, data)
    step.loss.backward()
    assert policy.head.grad is not None
    return step, policy.head.grad.clone()


def by_hand(
    policy: PolicyBackbone, objective: GRPOObjective, part: Minibatch, weights: Callable[[int], Tensor]
) -> Tensor:
    """The gradient of -w A log p, over all tokens."""
    policy.zero_grad()
    logp_BGC, mask_BGC = policy.logp(part.prompts, part.ids)
    loss = torch.zeros(())
    for b, group in enumerate(part.ids):
        for g, ids in enumerate(group):
            loss = loss - part.advantage_BG[b, g] * (weights(len(ids)) * logp_BGC[b, g, : len(ids)]).sum()
    (loss / mask_BGC.sum()).backward()
    assert policy.head.grad is not None
    return policy.head.grad.clone()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Minibatch]:
    """The minibatches that were learned from, in their order."""
    parts: list[Minibatch] = []

    def update(policy: Any, part: Minibatch, *more: Any) -> StepResult:
        parts.append(part)
        return grpo_update(policy, part, *more)

    monkeypatch.setattr("tvg_lightning.modules.grpo.grpo_update", update)
    return parts


# ---- whose log-probs they are


def test_only_the_builtin_engine_is_the_policy_itself() -> None:
    assert is_policy_itself(generate) and not is_policy_itself(honest)


def test_the_builtin_engine_needs_no_correction(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    found = [one_step(objective_of(generate, importance_correction=given), policy) for given in (CUT(), None)]
    assert [part.logp_sampled_BGC for part in kept] == [None, None]
    assert float(kept[0].advantage_BG.abs().max()) > 0.1
    (step, gradient), (plain, plain_gradient) = found
    assert step.metrics == plain.metrics and step.loss.equal(plain.loss) and gradient.equal(plain_gradient)
    assert not {name for name in step.metrics if "importance" in name or "difference" in name}


def test_an_honest_engine_has_weights_of_1(policy: PolicyBackbone, tolerances: Any) -> None:
    _, expected = one_step(objective_of(generate), policy)
    step, found = one_step(objective_of(honest), policy)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert 0 < step.metrics["logp_difference_max"] < tolerances.logp
    assert step.metrics["importance_weight"] == pytest.approx(1.0, abs=1e-4)
    assert step.metrics["importance_cut"] == 0.0


def test_null_looks_at_nothing(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    _, expected = one_step(objective_of(generate), policy)
    step, found = one_step(objective_of(told(lambda c: ()), importance_correction=None), policy)
    assert found.equal(expected) and kept[1].logp_sampled_BGC is None and "logp_difference" not in step.metrics


def test_an_engine_that_does_not_tell_is_refused(policy: PolicyBackbone) -> None:
    words = r"the engine gave 0 log-probabilities with a completion of \d+ tokens.*grpo\.importance_correction to null"
    with pytest.raises(ValueError, match=words):
        one_step(objective_of(told(lambda c: ())), policy)


# ---- the loss


def test_weights_of_tokens(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    objective = objective_of(other, importance_correction=CUT("token_truncate", cap=1.2))
    step, found = one_step(objective, policy)
    (part,) = kept
    assert part.logp_old_BGC is None, "on-policy: the loss's first pass tells"
    expected = by_hand(policy, objective, part, lambda num_tokens: ratio_of_other(num_tokens).clamp(max=1.2))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)
    plain = by_hand(policy, objective, part, lambda num_tokens: torch.ones(num_tokens))
    assert float((found - plain).abs().max()) > 0.01 * float(plain.abs().max()), "and they matter"
    lengths = [len(ids) for group in part.ids for ids in group]
    num_odd = sum(length // 2 for length in lengths)
    num_even = sum(lengths) - num_odd
    metrics = step.metrics
    assert metrics["logp_difference"] == pytest.approx((0.3 * num_even + 0.1 * num_odd) / sum(lengths), abs=1e-5)
    assert metrics["logp_difference_max"] == pytest.approx(0.3, abs=1e-5)
    assert metrics["importance_cut"] == pytest.approx(num_even / sum(lengths))
    assert metrics["importance_weight_max"] == pytest.approx(1.2)
    assert metrics["importance_weight_min"] == pytest.approx(math.exp(-0.1), abs=1e-5)
    kl = (num_even * (math.exp(0.3) - 1.3) + num_odd * (math.exp(-0.1) - 0.9)) / sum(lengths)
    assert metrics["sampling_kl"] == pytest.approx(kl, abs=1e-5)


def test_weights_of_sequences(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    """A cap between the shortest and the longest completion's weight masks some of them."""
    one_step(objective_of(other), policy)
    lengths = sorted({len(ids) for group in kept[0].ids for ids in group})
    ratios = [float(ratio_of_other(length).prod()) for length in lengths]
    cap = (max(1.0, min(ratios)) + max(ratios)) / 2
    objective = objective_of(other, importance_correction=CUT("sequence_mask", cap=cap))
    step, found = one_step(objective, policy)

    def weights(num_tokens: int) -> Tensor:
        ratio = ratio_of_other(num_tokens).prod()
        return torch.where(ratio > cap, 0.0, ratio)

    expected = by_hand(policy, objective, kept[1], weights)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-7)
    rows = [float(weights(len(ids))) for group in kept[1].ids for ids in group]
    assert 0 < rows.count(0.0) < len(rows)
    assert step.metrics["importance_cut"] == rows.count(0.0) / len(rows)
    assert step.metrics["importance_weight"] == pytest.approx(sum(rows) / len(rows), rel=1e-4)


def test_several_updates_keep_their_weights(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    """The ratio is to the policy before the first update, the weight that of this policy to the engine."""
    changes = {"num_iterations": 2, "clip_low": 0.99, "clip_high": 9.0}
    objective = objective_of(other, importance_correction=CUT("token_truncate"), **changes)
    first, _ = one_step(objective, policy)
    part = kept[0]
    with torch.no_grad():
        logp_BGC, mask_BGC = policy.logp(part.prompts, part.ids)
    assert part.logp_old_BGC is not None and part.logp_sampled_BGC is not None
    torch.testing.assert_close(part.logp_old_BGC, logp_BGC, rtol=1e-5, atol=1e-5)
    assert part.logp_sampled_BGC.isnan().equal(~mask_BGC)
    assert first.metrics["logp_difference_max"] == pytest.approx(0.3, abs=1e-5)
    weight_BGC = (part.logp_old_BGC - part.logp_sampled_BGC).exp().masked_fill(~mask_BGC, 0.0)
    original = policy.head.detach().clone()
    try:
        with torch.no_grad():
            policy.head.mul_(1.01)
            ratio_BGC = (policy.logp(part.prompts, part.ids)[0] - part.logp_old_BGC).exp()
        second, _ = one_step(objective, policy)
    finally:
        with torch.no_grad():
            policy.head.copy_(original)
    assert kept[1] is part and float((ratio_BGC[mask_BGC] - 1).abs().max()) > 1e-3
    expected = -(weight_BGC * ratio_BGC * part.advantage_BG[..., None]).sum() / mask_BGC.sum()
    assert second.loss.item() == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    assert "logp_difference" not in second.metrics, "told once a rollout"


def test_a_rollout_goes_on_with_its_weights(policy: PolicyBackbone, tmp_path: Path) -> None:
    objective = objective_of(other, num_iterations=2)
    one_step(objective, policy)
    assert objective.rollout is not None
    torch.save(rollout_state(objective.rollout), tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    again = restored_rollout(policy, state, lambda questions: ITEMS)
    (whole,), (part,) = objective.rollout.minibatches, again.minibatches
    assert part.logp_sampled_BGC is not None and whole.logp_sampled_BGC is not None
    torch.testing.assert_close(part.logp_sampled_BGC, whole.logp_sampled_BGC, rtol=0, atol=0, equal_nan=True)
    found, expected = (grpo_update(policy, one, objective.settings, 1).loss for one in (part, whole))
    assert found.equal(expected)
    del state["minibatches"][0]["logp_sampled"]
    (old,) = restored_rollout(policy, state, lambda questions: ITEMS).minibatches
    assert old.logp_sampled_BGC is None, "of a checkpoint from before there were other engines"


def test_the_oracle_row_is_not_sampled_and_pruned_rows_are_left_out(policy: PolicyBackbone) -> None:
    made = real_group(policy, [f"<answer>{start} to 9</answer>" for start in (8, 7, 6, 5, 4, 1, 3, 22)])
    for number, completion in enumerate(made.completions):
        object.__setattr__(completion, "logp", (-1.0 - number,) * len(completion.token_ids))
    given = oracle_settings(importance_correction=CUT("token_truncate", cap=2.0), generation=GenerationSettings())
    learned = learned_rows([made], given, CPU)
    assert len(learned.rows[0]) == 4 and learned.rows[0][-1] == 8 and 5 in learned.rows[0], "the best is kept"
    part = prepare(policy, [made], learned, given, None, sampled_elsewhere=True).next_minibatch()
    assert part.logp_sampled_BGC is not None
    for row, ids, logp_C in zip(learned.rows[0], part.ids[0], part.logp_sampled_BGC[0], strict=True):
        expected = [] if row == 8 else [-1.0 - row] * len(ids)
        assert logp_C[~logp_C.isnan()].tolist() == expected
    weight_NC, _ = CUT("token_truncate").weights(torch.zeros(1, 4, 1) - part.logp_sampled_BGC)
    assert weight_NC[-1].tolist() == [1.0] * weight_NC.shape[1]
    assert math.isfinite(grpo_update(policy, part, given, 1).loss.item())


def test_beginnings_that_were_given_are_not_sampled(policy: PolicyBackbone, kept: list[Minibatch]) -> None:
    changes = {"warm_start": WarmStartSettings(), "importance_correction": CUT("token_truncate"), "num_iterations": 2}
    objective = objective_of(told(lambda c: tuple(logp - 0.2 for logp in c.logp)), **changes)
    step, _ = one_step(objective, policy)
    sampled_BGC = kept[0].logp_sampled_BGC
    assert sampled_BGC is not None
    for given, row in zip(kept[0].ids, sampled_BGC, strict=True):
        for ids, logp_C in zip(given, row, strict=True):
            assert logp_C[:12].isnan().all() and not logp_C[12 : len(ids)].isnan().any(), "half of 24 tokens were given"
    assert step.metrics["logp_difference"] == pytest.approx(0.2, abs=1e-5)


# ---- the account and the bound

GAPS = torch.tensor([[[2.0, math.nan], [0.5, 1.0]], [[math.nan, math.nan], [1.0, 1.0]]]).log()


def test_metrics_by_hand() -> None:
    """Ratios of tokens 2, 1/2 and three of 1; of sequences 2, 1/2 and 1."""
    found = importance_metrics([GAPS[:1], GAPS[1:]], CUT("token_truncate", cap=1.5))
    assert found == pytest.approx(
        {
            "logp_difference": 2 * math.log(2) / 5,
            "logp_difference_max": math.log(2),
            "sampling_kl": (2 - 1 - math.log(2) + 0.5 - 1 + math.log(2)) / 5,
            "importance_weight": (1.5 + 0.5 + 3) / 5,
            "importance_weight_min": 0.5,
            "importance_weight_max": 1.5,
            "importance_cut": 1 / 5,
        },
        rel=1e-6,
    )
    found = importance_metrics([GAPS[:1], GAPS[1:]], CUT("sequence_mask", cap=1.5))
    assert found["importance_weight"] == pytest.approx((0 + 0.5 + 1) / 3)
    assert (found["importance_weight_min"], found["importance_weight_max"]) == (0.0, 1.0)
    assert found["importance_cut"] == pytest.approx(1 / 3)
    assert importance_metrics([GAPS[1:, :1]], CUT()) == {}, "nothing was sampled"


def test_metrics_are_those_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all tokens and not the mean over processes; one of them may have sampled none that is learned from."""
    whole = importance_metrics([GAPS], CUT())
    parts: list[Tensor] = []

    def of_all_ranks(ours: Tensor) -> list[Tensor]:
        parts.append(ours)
        return parts

    monkeypatch.setattr(importance_correction, "of_all_ranks", of_all_ranks)
    importance_metrics([GAPS[1:, :1]], CUT())
    importance_metrics([GAPS[1:, 1:]], CUT())
    assert importance_metrics([GAPS[:1]], CUT()) == pytest.approx(whole)


def test_an_engine_that_is_too_far_away_stops_the_run(policy: PolicyBackbone) -> None:
    away = told(lambda c: tuple(logp - 0.6 for logp in c.logp))
    words = r"step 7: .*differ from the loss's by 0\.6 nats.*max_difference is 0\.5.*stale weights.*precision.*version"
    for changes in ({}, {"num_iterations": 2}):
        step, _ = one_step(objective_of(away, **changes), policy)
        assert re.match(words, step.fault or "")
        assert [t.logp_difference for t in step.traces] == pytest.approx([0.6] * 8, abs=1e-4)
    for bound in (0.7, None):
        step, _ = one_step(objective_of(away, importance_correction=CUT(max_difference=bound)), policy)
        assert step.metrics["logp_difference"] == pytest.approx(0.6, abs=1e-4) and step.fault is None
    assert fault_of({}, CUT(), 7) is None
    assert "by inf nats" in (fault_of({"logp_difference": math.inf}, CUT(), 7) or "")


@pytest.mark.parametrize("changes", [{}, {"num_minibatches": 2}])
def test_a_trace_tells_the_difference_of_its_completion(policy: PolicyBackbone, changes: dict[str, Any]) -> None:
    """On-policy the update tells it, else the pass before the first one, for all minibatches."""
    step, _ = one_step(objective_of(other, **changes), policy)
    assert len(step.traces) == 8 and len({t.num_tokens for t in step.traces}) > 1
    for trace in step.traces:
        num_odd = trace.num_tokens // 2
        expected = (0.3 * (trace.num_tokens - num_odd) + 0.1 * num_odd) / trace.num_tokens
        assert trace.logp_difference == pytest.approx(expected, abs=1e-4)
    step, _ = one_step(objective_of(generate, **changes), policy)
    assert {t.logp_difference for t in step.traces} == {None}, "its own completions"


def test_the_difference_of_tokens_that_cannot_be_and_of_none(tmp_path: Path) -> None:
    """A beginning that was given has none; an impossible token's is written as 1e6."""
    traces = [replace(GOOD_TRACE, group=3, rollout=number) for number in range(4)]
    gap_BGC = torch.tensor([[[1.0, -3.0, math.nan], [math.inf, 0.0, 0.0], [math.nan] * 3]])
    item: Any = SimpleNamespace(position=3)
    part = Minibatch([item], [], None, [], [], torch.zeros(1, 3), numbers=[[0, 1, 3]], gap_BGC=gap_BGC)
    found = with_differences(traces, Rollout([part]))
    assert [t.logp_difference for t in found] == [2.0, 1e6, None, None], "number 2 was pruned"
    write_traces(tmp_path / "traces.jsonl", found)
    assert [t.logp_difference for t in read_traces(tmp_path / "traces.jsonl")] == [2.0, 1e6, None, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cap": 0.9}, r"importance_correction\.cap must be at least 1"),
        ({"cap": math.nan}, r"importance_correction\.cap must be at least 1"),
        ({"floor": 1.1}, r"importance_correction\.floor must be within 0 and 1"),
        ({"cap": 1.0, "floor": 1.0}, r"cap and floor are both 1\.0"),
        ({"mode": "token_truncate", "cap": None}, r"mode token_truncate needs a bound"),
        ({"max_difference": 0.0}, r"importance_correction\.max_difference must be a positive number"),
        ({"max_difference": math.nan}, r"importance_correction\.max_difference"),
    ],
)
def test_refusals_name_their_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=rf"grpo\.{words}" if words.startswith("importance") else words):
        CUT(**changes)


# ---- in a run

STAGES: Sequence[dict[str, Any]] = [{}, {"importance_correction": {"mode": "token_truncate", "cap": 2.0}}]


def test_a_run_with_an_engine_by_its_name(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On with no word of it in the config; a part of its keys leaves the others as they are; null turns it off."""
    asked: list[Any] = []

    def metrics(gaps: Any, given: ImportanceCorrectionSettings) -> dict[str, float]:
        asked.append(given)
        return importance_metrics(gaps, given)

    monkeypatch.setattr("tvg_lightning.modules.grpo.importance_metrics", metrics)
    short = {"generation": {"max_new_tokens": 12}}
    stages = [
        stage(f"stage{n}", 1, **grpo(**short, **more))
        for n, more in enumerate([*STAGES, {"importance_correction": None}])
    ]
    config = write_config(tmp_path, shapes, stages=stages)
    args = ["--model.init_args.engine", f"{__name__}.other", *WITHOUT_VALIDATION]
    train.main(["fit", "--config", str(config), *args])
    assert asked == [CUT(), CUT("token_truncate", cap=2.0)]


def test_a_run_that_is_stopped_keeps_the_traces_of_its_step(tmp_path: Path, shapes: Path) -> None:
    """Its completions, and how far each is, are on disk when the run ends."""
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo(generation={"max_new_tokens": 24}))])
    args = ["fit", "--config", str(config), "--model.init_args.engine", f"{__name__}.far", *WITHOUT_VALIDATION]
    words = r"^step 0: .* nats on average.*max_difference is 0\.5.*traces RUN --first_step 0 --json"
    with pytest.raises(ValueError, match=words):
        train.main(args)
    traces = list(read_traces(tmp_path / "traces" / "only-rank0.jsonl"))
    assert [(t.step, t.rollout) for t in traces] == [(0, number) for number in (0, 1, 2)] * 2
    for trace in traces:
        assert trace.logp_difference == pytest.approx(trace.num_tokens / 10, abs=1e-3)


@pytest.mark.slow
def test_two_processes_go_on_within_a_rollout_of_another_engine(tmp_path: Path, shapes: Path) -> None:
    more = {"num_minibatches": 2, "num_iterations": 2, "generation": {"max_new_tokens": 24}}
    only = stage("only", 8, **grpo(**more, importance_correction={"mode": "token_truncate"})) | {"batch_size": 1}
    config = yaml.safe_load(write_config(tmp_path, shapes, stages=[only]).read_text(encoding="utf-8"))
    config["model"]["init_args"]["engine"] = f"{__name__}.other"
    config["step_checkpoint"]["every_n_steps"] = 1
    config["trainer"] |= {"devices": 2, "strategy": "ddp", "limit_val_batches": 0}
    resumed_equals_whole(tmp_path, config, kill_at=5, num_processes=2)
