"""The annotation as a row of a group: tokens, reward, rows that are learned from, and a step of a real policy."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import train
from tests.doubles import losses
from tests.modules.test_grpo import resumed_equals_whole
from tests.modules.test_rollouts import CLIP, CONTEXT, group
from tests.runs import WITHOUT_VALIDATION, changed, grpo, in_processes, stage, with_callback, write_config
from tvg_lightning.data.items import Item
from tvg_lightning.data.sample_weights import SampleWeights
from tvg_lightning.data.video import VideoClip
from tvg_lightning.modules import rollout_report, rollouts
from tvg_lightning.modules.grpo import grpo_update
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.oracle_row import OracleRow, oracle_row
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.rollout_report import oracle_metrics, rollout_traces
from tvg_lightning.modules.rollouts import Group, Sampled, Sampler, learned_rows
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.total import RewardParts, Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Method, Prompt, Sample, Span, Task
from tvg_lightning.tasks.mixture import Mixture
from tvg_lightning.traces import Trace, read_traces, write_traces

ALONE = AnswerFormat(Method.TIME_R1, thought=False)
REWARDS = Rewards(ALONE, RewardWeights(iou=1.0))
CPU = torch.device("cpu")


def settings(**changes: Any) -> GRPOSettings:
    return GRPOSettings(**{"scale_rewards": "none", "beta": 0.0, "oracle": OracleSettings(), **changes})


def with_oracle(rewards: Sequence[float], oracle_reward: float = 1.0) -> Group:
    made = group("a", *rewards)
    made.oracle = OracleRow((7, 8, 9), RewardParts({"iou": oracle_reward}, oracle_reward, Answer(True, None)))
    return made


@pytest.fixture(scope="module")
def policy() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings("tiny"))


def item(window: Span = Span(1.0, 2.5)) -> Item:  # noqa: B008  # a tuple
    sample = Sample("a", "a.mp4", 10.0, "The red circle rises.", (window,))
    return Item(sample, Task.TVG, Prompt("When?"), CLIP, (), position=3)


def test_the_annotation_is_written_tokenised_and_scored(policy: PolicyBackbone) -> None:
    row = oracle_row(policy, REWARDS, item(), 40)
    assert policy.ids_to_text(row.token_ids) == "<answer>1 to 2.5</answer>" and row.token_ids[-1] == policy.end_id
    assert row.score.total == 1.0 and row.score.parts == {"iou": 1.0}
    short = oracle_row(policy, REWARDS, item(), 5)
    assert short.token_ids == row.token_ids[-5:], "a too long one keeps its tail"
    assert short.score.total == 1.0


def test_rows_that_are_pruned_are_not_learned_from() -> None:
    """1, then seven 0: kept are the best row, two of the others, and the oracle."""
    groups = [with_oracle([0.0, 1.0, *[0.0] * 6]), with_oracle([0.0] * 8)]
    learned = learned_rows(groups, settings(), CPU)
    assert learned.rows == [(0, 1, 2, 8), (0, 1, 2, 8)] and learned.advantage_BR.shape == (2, 4)
    assert learned.advantage_BR[1].tolist() == pytest.approx([-0.0125, -0.0125, -0.0125, 0.0375])
    metrics = oracle_metrics(groups, learned)
    assert metrics["oracle_reward"] == 1.0 and metrics["pruned"] == pytest.approx(5 / 9)
    assert metrics["oracle_advantage"] == pytest.approx(float(learned.advantage_BR[:, 3].mean()))
    assert rollout_report.rollout_metrics(Sampled(groups, []))["reward"] == pytest.approx(1 / 16), "it is in no mean"
    everyone = learned_rows(groups, settings(oracle=OracleSettings(prune=0.0)), CPU)
    assert [list(rows) for rows in everyone.rows] == [list(range(9))] * 2


def test_traces_tell_what_was_pruned_and_the_oracles_advantage(tmp_path: Path) -> None:
    groups = [with_oracle([0.0, 1.0, *[0.0] * 6])]
    learned = learned_rows(groups, settings(), CPU)
    traces = rollout_traces(Sampled(groups, [group("b", 0.0, 1.0)]), learned, CONTEXT, ALONE)
    assert [t.pruned for t in traces] == [False] * 3 + [True] * 5 + [False] * 2
    assert [t.advantage for t in traces[:3]] == learned.advantage_BR[0, :3].tolist()
    assert {t.advantage for t in traces[3:]} == {0.0}
    assert [t.oracle_advantage for t in traces] == [float(learned.advantage_BR[0, 3])] * 8 + [None] * 2
    write_traces(tmp_path / "traces.jsonl", traces)
    assert list(read_traces(tmp_path / "traces.jsonl")) == traces
    plain = (tmp_path / "traces.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert not {"pruned", "oracle_advantage"} & json.loads(plain).keys(), "as it was without an oracle"


def one_update(policy: PolicyBackbone, groups: list[Group], given: GRPOSettings) -> tuple[list[int], torch.Tensor]:
    """The number of tokens in every packed row, and the gradient of the embedding."""
    learned = learned_rows(groups, given, CPU)
    part = rollouts.prepare(policy, groups, learned, given, None).next_minibatch()
    policy.zero_grad()
    result = grpo_update(policy, part, given, 1)
    result.loss.backward()
    assert policy.head.grad is not None
    assert result.num_tokens == sum(len(ids) for row in part.ids for ids in row)
    return [len(ids) for row in part.ids for ids in row], policy.head.grad.clone()


def real_group(policy: PolicyBackbone, texts: Sequence[str]) -> Group:
    asked = item()
    encoded = policy.encode(asked.prompt, asked.clip)
    made = group("a", *(REWARDS.score(text, Task.TVG, asked.sample).total for text in texts))
    made.item, made.prompt, made.features = asked, encoded, policy.video_features([encoded])[0]
    for completion, text in zip(made.completions, texts, strict=True):
        object.__setattr__(completion, "token_ids", tuple(policy.text_to_ids(text)))
    made.oracle = oracle_row(policy, REWARDS, asked, 40)
    return made


def test_an_update_by_hand(policy: PolicyBackbone) -> None:
    """All rewards 0: the gradient is that of -(sum of A * log p) over the tokens of the four rows that stay."""
    texts = [f"<answer>{start}.0 to 9.5</answer>" for start in range(5, 9)]
    made = real_group(policy, texts)
    assert made.oracle is not None and made.rewards == [0.0] * 4
    lengths, gradient = one_update(policy, [made], settings(num_generations=4, oracle=OracleSettings(prune=0.25)))
    ids = [*(completion.token_ids for completion in made.completions[:2]), made.oracle.token_ids]
    assert lengths == [len(row) for row in ids], "pruned rows are not in the packed row"
    policy.zero_grad()
    logp_BGC, _ = policy.logp([made.prompt], [ids], [made.features])
    advantages = torch.tensor([-0.05 / 3, -0.05 / 3, 0.1 / 3])
    (-(advantages * logp_BGC[0].sum(1)).sum() / sum(lengths)).backward()
    assert policy.head.grad is not None
    torch.testing.assert_close(gradient, policy.head.grad, rtol=1e-4, atol=1e-8)


def test_dependence_on_the_frames_is_measured_of_completions_and_not_of_the_annotation(policy: PolicyBackbone) -> None:
    """Both features in one group: each has its row of numbers, and the operations of both are counted."""
    frames = torch.zeros(16, 56, 56, 3, dtype=torch.uint8)
    asked = replace(item(), clip=VideoClip(frames, tuple(n / 2 for n in range(16)), 2.0, "none"))
    rewards = Rewards(ALONE, RewardWeights(iou=1.0, frame_dependence=0.3))
    given = settings(
        num_generations=4, num_iterations=2, oracle=OracleSettings(prune=0.25), generation=GenerationSettings(6)
    )
    (made,) = Sampler(policy, given, rewards, generate, CONTEXT, Phases()).groups([asked], 1)
    assert made.dependences is not None and len(made.dependences) == 4 and made.oracle is not None
    assert all("frame_dependence" in score.parts for score in made.scores)
    assert made.oracle.score.parts == {"iou": 1.0}
    learned = learned_rows([made], given, CPU)
    rollout = rollouts.prepare(policy, [made], learned, given, None)
    traces = rollout_traces(Sampled([made], []), learned, CONTEXT, ALONE)
    assert [t.frame_dependence for t in traces] == made.dependences and {t.pruned for t in traces} == {True, False}

    def flops(one: Group) -> float:
        return rollout_report.rollout_flops(policy, Sampled([one], []), rollout)

    shuffled = flops(made) - flops(replace(made, dependences=None))
    alone = sum(policy.flops([made.prompt], [[ids]]).loss for ids in made.token_ids)
    assert shuffled == pytest.approx(policy.flops([made.prompt], [made.token_ids]).loss + alone)
    work = policy.flops([made.prompt], [made.token_ids])
    kept = policy.flops(
        [made.prompt], [[made.token_ids[row] for row in learned.rows[0][:-1]] + [made.oracle.token_ids]]
    )
    assert flops(made) == pytest.approx(work.vision + work.rollout + shuffled + kept.loss)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"scale_rewards": "group"},
            r'grpo\.oracle has its own advantages.*grpo\.scale_rewards to "none", not "group"',
        ),
        ({"resampling_rounds": 1}, r"grpo\.oracle learns from groups of equal rewards.*grpo\.resampling_rounds"),
        ({"beta": 0.1}, r"grpo\.oracle: the annotation is no sample.*grpo\.beta to 0, not 0\.1"),
        ({"num_generations": 3}, r"grpo\.oracle\.prune is 0\.5, which leaves 1"),
        ({"clip_dual": 1.0}, r"grpo\.clip_dual must be above 1"),
        ({"max_log_ratio": 0.0}, r"grpo\.max_log_ratio must be a positive number"),
    ],
)
def test_what_an_oracle_cannot_go_with(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings(**change)


def test_a_thought_and_other_tasks_are_refused_with_the_stage() -> None:
    given: Any = {"grpo": settings(), "reward": RewardWeights(iou=1.0, verb_completion=1.0), "steps": 1}
    StageSettings("only", **given).check_format(ALONE)
    with pytest.raises(
        ValueError, match=r'stages: "only": grpo\.oracle: .*time_r1 asks for one.*data\.thought to false'
    ):
        StageSettings("only", **given).check_format(AnswerFormat(Method.TIME_R1))
    mixed = StageSettings("only", **given, mixture=Mixture(tvg=0.8, verb_completion=0.2))
    with pytest.raises(ValueError, match=r"grpo\.oracle is for grounding alone"):
        mixed.check_format(ALONE)


ORACLE: dict[str, Any] = {
    "num_generations": 4, "num_minibatches": 2, "num_iterations": 2, "scale_rewards": "none", "oracle": {"prune": 0.25},
    "clip_dual": 3.0, "max_log_ratio": 20.0, "generation": {"max_new_tokens": 24},
    "reward": {"format": 1.0, "iou": 1.0},
}  # fmt: skip
ARGS = [*WITHOUT_VALIDATION, "--data.method", "time_r1", "--data.thought", "false"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    folder = tmp_path_factory.mktemp("oracle")
    path = write_config(folder, shapes, stages=[stage("only", 8, **grpo(**ORACLE))])
    train.main(["fit", "--config", str(path), *ARGS])
    return folder


def test_a_run(whole_run: Path) -> None:
    traces = list(read_traces(whole_run / "traces" / "only-rank0.jsonl"))
    assert len(traces) == 2 * 4 * 4, "the oracle row leaves no trace of its own"
    assert sum(t.pruned for t in traces) == 2 * 8, "of 5 rows 3 stay, one of them the oracle"
    advantages = [t.oracle_advantage for t in traces if t.oracle_advantage is not None]
    assert len(advantages) == len(traces) and min(advantages) >= 0 and max(advantages) > 0
    assert any(loss for _, _, loss in losses(whole_run / "losses.jsonl"))


def even_config(folder: Path, shapes: Path, num_processes: int) -> Path:
    """Four updates on two rollouts of four prompts in all."""
    only = stage("only", 4, **grpo(**ORACLE | {"num_minibatches": 1}))
    only["batch_size"] = 4 // num_processes
    return write_config(folder, shapes, stages=[only])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = in_processes(folder, "fit", "--config", even_config(folder, shapes, 1), *ARGS)
    assert done.codes == [0], done.said[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_are_one_policy(
    strategy: str, alone: Path, tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    """The same prompts, answers, rows that are kept, advantages and losses as in one process."""
    args = [*ARGS, "--trainer.strategy", strategy, "--trainer.devices", "2"]
    done = in_processes(tmp_path, "fit", "--config", even_config(tmp_path, shapes, 2), *args, num_processes=2)
    assert done.codes == [0, 0], done.said[-3000:]
    expected, found = ([loss for _, _, loss in losses(f / "losses.jsonl")] for f in (alone, tmp_path))
    assert len(expected) == 4 and any(expected) and found == pytest.approx(expected, abs=tolerances.ddp_loss)

    def first_rollout(folder: Path, num_ranks: int) -> dict[tuple[str, int, int], Trace]:
        files = [folder / "traces" / f"only-rank{rank}.jsonl" for rank in range(num_ranks)]
        traces = [trace for file in files for trace in read_traces(file) if trace.step == 0]
        return {(trace.sample_id, trace.group, trace.rollout): trace for trace in traces}

    one, two = first_rollout(alone, 1), first_rollout(tmp_path, 2)
    assert one.keys() == two.keys() and len(one) == 4 * 4
    for key, trace in one.items():
        assert (two[key].text, two[key].pruned) == (trace.text, trace.pruned)
        assert two[key].advantage == pytest.approx(trace.advantage)
        assert two[key].oracle_advantage == pytest.approx(trace.oracle_advantage)


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_run_with_sample_weights_goes_on_as_it_was(num_processes: int, tmp_path: Path, shapes: Path) -> None:
    """Weights order each pass; cut in the second one, within a rollout, the losses after it are the same bits."""
    lines = [json.loads(line) for line in (shapes / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    weighted = tmp_path / "weighted.jsonl"
    given = [{**line, "weight": 0.1 + number % 5} for number, line in enumerate(lines)]
    weighted.write_text("".join(json.dumps(line) + "\n" for line in given), encoding="utf-8")
    only = stage("only", 12, **grpo(**ORACLE))
    only["batch_size"] = 2 // num_processes
    config = yaml.safe_load(write_config(tmp_path, shapes, stages=[only]).read_text(encoding="utf-8"))
    config["step_checkpoint"]["every_n_steps"] = 1
    config["data"] |= {"train": str(weighted), "method": "time_r1", "thought": False}
    config["trainer"] |= {"devices": num_processes, "limit_val_batches": 0}
    config["trainer"] |= {"strategy": "ddp"} if num_processes > 1 else {}
    resumed_equals_whole(tmp_path, config, kill_at=9, num_processes=num_processes)
    files = (tmp_path / "cut" / "traces").glob("only-rank*.jsonl")
    asked = {trace.sample_id for file in files for trace in read_traces(file) if trace.step == 0}
    order = SampleWeights(tuple(line["weight"] for line in given)).order(3 * 1_000_003)  # of the config's seed
    assert asked == {given[number]["id"] for number in order[:4]}


@pytest.mark.slow
def test_a_power_cut_between_the_updates_of_a_rollout_costs_nothing(
    whole_run: Path, tmp_path: Path, shapes: Path
) -> None:
    path = write_config(tmp_path, shapes, stages=[stage("only", 8, **grpo(**ORACLE))])
    with changed(path) as config:
        config["step_checkpoint"]["every_n_steps"] = 1
    killed = in_processes(tmp_path, "fit", "--config", path, *ARGS, *with_callback("KillAt", batch=5))
    assert killed.codes == [-9], killed.said
    resumed = in_processes(
        tmp_path, "fit", "--config", path, *ARGS, "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt"
    )
    assert resumed.codes == [0], resumed.said
    whole, found = losses(whole_run / "losses.jsonl"), losses(tmp_path / "losses.jsonl")
    after = found[6:]
    assert after and after == whole[after[0][1] :]
