"""TaRO's warm start: completions go on from captions, are learned where they are good, and without a ratio."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import train
from tests.doubles import losses
from tests.modules.test_rollouts import CLIP, CONTEXT, group
from tests.runs import WITHOUT_VALIDATION, changed, grpo, in_processes, stage, with_callback, write_config
from tvg_lightning.data.items import Item
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grpo import GRPOModule, GRPOObjective, grpo_update
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.rollout_report import rollout_metrics
from tvg_lightning.modules.rollouts import Sampled, Sampler, advantages, learned_rows, prepare
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.modules.warm_start import WarmStartSettings, prefix_ids, prefix_text
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Sample, Span, Task
from tvg_lightning.traces import read_traces

CPU = torch.device("cpu")
CAPTIONS = ("0.0 to 2.0: red circle rises", "2.0 to 4.0: it spins", "5.0 to 9.0: it falls")
SAMPLE = Sample("a", "a.mp4", 10.0, "It spins.", (Span(2.0, 4.0),), captions=CAPTIONS)
ITEM = Item(SAMPLE, Task.TVG, Prompt("When?"), CLIP, (), position=3)
REWARDS = Rewards(AnswerFormat(Method.TARO), RewardWeights(format=1.0, action_recognition=1.0))


def settings(**changes: Any) -> GRPOSettings:
    return GRPOSettings(**{"num_generations": 4, "beta": 0.0, "warm_start": WarmStartSettings(), **changes})


GRPO: dict[str, Any] = {"grpo": settings(), "reward": RewardWeights(format=1.0)}


@pytest.fixture(scope="module")
def policy() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings("tiny"))


def sampler(policy: PolicyBackbone, epoch: int = 0, **changes: Any) -> Sampler:
    given = settings(generation=GenerationSettings(max_new_tokens=60), **changes)
    return Sampler(policy, given, REWARDS, generate, replace(CONTEXT, epoch_of_stage=epoch), Phases())


def test_captions_are_a_part_of_any_size_in_their_order() -> None:
    found = [prefix_text(SAMPLE, Random(seed)) for seed in range(900)]
    parts = [text.splitlines() for text in found]
    assert {tuple(lines[:2]) for lines in parts} == {("<think>", "To be found: It spins.")}
    chosen = [lines[2:] for lines in parts]
    assert all(lines == [caption for caption in CAPTIONS if caption in lines] for lines in chosen)
    assert all(abs(count - 300) < 60 for count in Counter(map(len, chosen)).values()), "1, 2 and 3 alike"
    assert {tuple(lines) for lines in chosen if len(lines) == 1} == {(caption,) for caption in CAPTIONS}
    assert all(text.endswith("\n") for text in found)


def test_half_of_the_tokens_are_left_for_the_policy(policy: PolicyBackbone) -> None:
    whole = prefix_ids(policy, SAMPLE, Random(1), 200)
    assert policy.ids_to_text(whole) == prefix_text(SAMPLE, Random(1)) and policy.end_id not in whole
    assert prefix_ids(policy, SAMPLE, Random(1), 20) == whole[:10]
    assert prefix_ids(policy, replace(SAMPLE, captions=()), Random(1), 200) == ()


def test_completions_go_on_from_their_prefixes(policy: PolicyBackbone) -> None:
    """Their log-probs are the loss's, prefix included; what has none is as it would be without the others."""
    prompts = [policy.encode(Prompt(text), CLIP) for text in ("When?", "What happens?")]
    features, given = policy.video_features(prompts), GenerationSettings(max_new_tokens=24)
    uniform = CONTEXT.uniforms([0, 1], 2, 24)
    prefixes = [[prefix_ids(policy, SAMPLE, Random(n), 30) for n in range(2)], [(), ()]]
    found = generate(policy, prompts, features, 2, given, uniform, prefixes=prefixes)
    for completion, prefix in zip(found[0], prefixes[0], strict=True):
        assert completion.token_ids[: len(prefix)] == prefix and len(completion.token_ids) > len(prefix)
    assert [c.token_ids for c in found[1]] == [
        c.token_ids for c in generate(policy, prompts, features, 2, given, uniform)[1]
    ]
    with torch.no_grad():
        logp_BGC, mask_BGC = policy.logp(prompts, [[c.token_ids for c in group] for group in found])
    for b, completions in enumerate(found):
        for g, completion in enumerate(completions):
            torch.testing.assert_close(
                logp_BGC[b, g][mask_BGC[b, g]], torch.tensor(completion.logp), rtol=1e-5, atol=1e-5
            )


def test_the_first_epoch_alone_and_grounding_alone_begin_with_captions(policy: PolicyBackbone) -> None:
    inverted = replace(ITEM, task=Task.ACTION_RECOGNITION, query_verbs=("spin",))
    warm, other = sampler(policy).groups([ITEM, inverted], 2)
    assert warm.prefixes is not None and len(set(warm.prefixes)) > 1, "a new part for every completion"
    assert [c.token_ids[: len(p)] for c, p in zip(warm.completions, warm.prefixes, strict=True)] == warm.prefixes
    assert other.prefixes is None
    assert rollout_metrics(Sampled([warm, other], []))["warm_start"] == 0.5
    own = [c.logp[len(p) :] for c, p in zip(warm.completions, warm.prefixes, strict=True)]
    mean = sum(map(sum, own)) / sum(map(len, own))
    assert rollout_metrics(Sampled([warm], []))["nll"] == pytest.approx(-mean), "of what the policy wrote"
    (cold,) = sampler(policy, epoch=1).groups([ITEM], 1)
    (without,) = sampler(policy).groups([replace(ITEM, sample=replace(SAMPLE, captions=()))], 1)
    assert cold.prefixes is None and without.prefixes is None
    assert "warm_start" not in rollout_metrics(Sampled([cold], []))
    (again,) = sampler(policy).groups([ITEM], 1)
    assert again.prefixes == warm.prefixes, "a resumed run begins with the same"


def test_bad_completions_that_began_with_captions_are_not_unlearned() -> None:
    warm, cold = group("a", 0.0, 1.0, 2.0, 3.0), group("b", 0.0, 1.0, 2.0, 3.0)
    warm.prefixes = [(1,)] * 4
    found = advantages([warm, cold], settings(advantage_eps=1e-6), CPU)
    assert found[1].tolist() == pytest.approx([-1.1619, -0.3873, 0.3873, 1.1619], abs=1e-4)
    assert found[0].tolist() == pytest.approx([0.0, 0.0, 0.3873, 1.1619], abs=1e-4)


def test_an_update_by_hand(policy: PolicyBackbone) -> None:
    """The gradient of -A log p over all tokens, prefix included, whatever the policy was that sampled them."""
    (made,) = sampler(policy).groups([ITEM], 1)
    object.__setattr__(made.scores[0], "total", 2.0)
    given = settings(num_iterations=2)
    learned = learned_rows([made], given, CPU)
    part = prepare(policy, [made], learned, given, None).next_minibatch()
    assert part.is_warm_B == [True] and part.logp_old_BGC is not None
    part.logp_old_BGC = part.logp_old_BGC - 3.0  # a ratio of 20: clipped, had it any
    policy.zero_grad()
    grpo_update(policy, part, given, 1).loss.backward()
    assert policy.head.grad is not None
    found = policy.head.grad.clone()
    policy.zero_grad()
    logp_BGC, mask_BGC = policy.logp([made.prompt], [made.token_ids], [made.features])
    (-(learned.advantage_BR[0] * logp_BGC[0].sum(1)).sum() / mask_BGC.sum()).backward()
    torch.testing.assert_close(found, policy.head.grad, rtol=1e-4, atol=1e-8)
    assert float(found.abs().max()) > 0


def test_a_stage_is_warm_throughout() -> None:
    """Whatever its number in the run; Lightning counts a stage as an epoch."""
    module = StagedModule(PolicySettings(), [StageSettings("a", steps=1, **GRPO), StageSettings("b", steps=1, **GRPO)])
    module.stage_index = 1
    loop = SimpleNamespace(total_batch_idx=9)
    module._trainer = SimpleNamespace(fit_loop=loop, current_epoch=1, world_size=1)  # type: ignore[assignment]
    assert module.step_context().epoch_of_stage == 0 and module.needs_captions


def test_an_engine_without_prefixes_is_refused() -> None:
    def engine(policy: Any, prompts: Any, features: Any, num: int, generation: Any, uniform: Any = None) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match=r"grpo\.warm_start: the engine cannot go on"):
        GRPOObjective(settings(), REWARDS, engine)
    GRPOObjective(settings(warm_start=None), REWARDS, engine)
    asked = EvaluationSettings(empty_thought=True)
    with pytest.raises(ValueError, match=r"evaluation\.empty_thought: the engine cannot go on"):
        GRPOModule(PolicySettings(), GRPOSettings(), RewardWeights(iou=1.0), evaluation=asked, engine=engine)
    asked = EvaluationSettings(empty_thought=True, presence_penalty=0.5)
    vllm = VLLMSettings(url="http://a:1", weights_folder="w")
    with pytest.raises(ValueError, match=r"presence_penalty 0\.5: on vLLM .*empty_thought"):
        GRPOModule(
            PolicySettings(), GRPOSettings(), RewardWeights(iou=1.0), evaluation=asked, engine="vllm_server", vllm=vllm
        )


def test_what_a_warm_start_cannot_go_with() -> None:
    with pytest.raises(ValueError, match=r"grpo\.warm_start\.epochs must be at least 1, not 0"):
        WarmStartSettings(0)
    with pytest.raises(ValueError, match=r"grpo\.oracle and grpo\.warm_start"):
        settings(oracle=OracleSettings(), scale_rewards="none")
    only = StageSettings("only", grpo=settings(), reward=RewardWeights(iou=1.0), steps=1)
    only.check_format(AnswerFormat(Method.TARO))
    with pytest.raises(ValueError, match=r'stages: "only": grpo\.warm_start begins the thought.*data\.thought to true'):
        only.check_format(AnswerFormat(Method.TARO, thought=False))


WARM: dict[str, Any] = {
    "num_generations": 4, "num_minibatches": 2, "num_iterations": 2, "warm_start": {"epochs": 1},
    "generation": {"max_new_tokens": 40}, "reward": {"format": 1.0, "timestamp_iou": 1.0},
}  # fmt: skip
ARGS = [*WITHOUT_VALIDATION, "--data.method", "taro"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    folder = tmp_path_factory.mktemp("warm")
    path = write_config(folder, shapes, stages=[stage("warm", 8, **grpo(**WARM))])
    train.main(["fit", "--config", str(path), *ARGS])
    return folder


def test_a_run(whole_run: Path) -> None:
    traces = list(read_traces(whole_run / "traces" / "warm-rank0.jsonl"))
    assert len(traces) == 2 * 4 * 4 and all(t.text.startswith("<think>\nTo be found: ") for t in traces)
    assert all(0 < t.num_given_tokens <= 20 < t.num_tokens and t.advantage >= 0 for t in traces)
    assert any(loss for _, _, loss in losses(whole_run / "losses.jsonl"))


def test_data_without_captions_are_refused(tmp_path: Path, shapes: Path) -> None:
    lines = (shapes / "train.jsonl").read_text(encoding="utf-8").replace('"captions"', '"captions_": null, "captions"')
    bare = tmp_path / "train.jsonl"
    bare.write_text("".join(line.split(', "captions_"')[0] + "}\n" for line in lines.splitlines()), encoding="utf-8")
    path = write_config(tmp_path, shapes, stages=[stage("warm", 8, **grpo(**WARM))])
    with pytest.raises(ValueError, match=r"train\.jsonl: no sample has captions, with which grpo\.warm_start begins"):
        train.main(["fit", "--config", str(path), *ARGS, "--data.train", str(bare)])


@pytest.mark.slow
def test_a_power_cut_between_the_updates_of_a_rollout_costs_nothing(
    whole_run: Path, tmp_path: Path, shapes: Path
) -> None:
    path = write_config(tmp_path, shapes, stages=[stage("warm", 8, **grpo(**WARM))])
    with changed(path) as config:
        config["step_checkpoint"]["every_n_steps"] = 1
    killed = in_processes(tmp_path, "fit", "--config", path, *ARGS, *with_callback("KillAt", batch=5))
    assert killed.codes == [-9], killed.said
    last = tmp_path / "checkpoints" / "last.ckpt"
    resumed = in_processes(tmp_path, "fit", "--config", path, *ARGS, "--ckpt_path", last)
    assert resumed.codes == [0], resumed.said
    whole, found = losses(whole_run / "losses.jsonl"), losses(tmp_path / "losses.jsonl")
    after = found[6:]
    assert after and after == whole[after[0][1] :]
