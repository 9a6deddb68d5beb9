"""Questions for engines, and a vLLM for a policy of every family."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.families import PACKAGED, random_checkpoint
from tests.policy.conftest import clip
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt

# vLLM's attention on CPUs takes heads of 32 numbers and more
HEADS_OF_32 = {"num_attention_heads": 3, "num_key_value_heads": 1}
ROPE_OF_32 = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [6, 5, 5]}
MORE = {"qwen2_vl": {**HEADS_OF_32, "rope_parameters": ROPE_OF_32}, "qwen3_vl": {}}


def uniforms(num_prompts: int, num_generations: int, length: int) -> Tensor:
    return StepContext(0, "test", 0, 0).uniforms(list(range(num_prompts)), num_generations, length)


def ask(policy: PolicyBackbone) -> tuple[list[EncodedPrompt], list[Tensor]]:
    """Two prompts of several lengths and rates, one of an odd number of frames, and their features."""
    prompts = [
        policy.encode(Prompt("What happens?"), clip(policy, 8, 0.5)),
        policy.encode(Prompt("Who spins at all?"), clip(policy, 5, 3.7, tokens=2)),
    ]
    with torch.no_grad():
        return prompts, policy.video_features(prompts)


def loss_logp(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    groups: Sequence[Sequence[Completion]],
    generation: GenerationSettings,
) -> list[list[Tensor]]:
    """The loss's log-probs of completions."""
    ids = [[completion.token_ids for completion in group] for group in groups]
    with torch.no_grad():
        logp_BGC, mask_BGC = policy.logp(prompts, ids, features, generation.temperature or 1.0)
    return [[logp_BGC[b, g][mask_BGC[b, g]] for g in range(len(group))] for b, group in enumerate(groups)]


@pytest.fixture(scope="session", params=["qwen2_5_vl", "qwen3_vl", "qwen2_vl"])
def any_policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PolicyBackbone:
    """A small policy of every family that vLLM can run on a CPU."""
    folder = tmp_path_factory.mktemp(request.param)
    name = "tiny" if request.param == PACKAGED else random_checkpoint(request.param, folder, **MORE[request.param])
    return PolicyBackbone(PolicySettings(name)).eval()


@pytest.fixture(scope="session")
def any_engine(any_policy: PolicyBackbone) -> Iterator[Any]:
    """A vLLM for it, which the tests that need one share: a start takes seconds."""
    from tvg_lightning.engines.settings import VLLMSettings
    from tvg_lightning.engines.vllm import VLLMEngine

    yield VLLMEngine(VLLMSettings(max_length=1024))
