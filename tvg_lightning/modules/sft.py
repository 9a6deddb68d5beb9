"""Supervised fine-tuning on completions that were harvested or written by a teacher."""

from collections.abc import Sequence

from tvg_lightning.data.items import Item
from tvg_lightning.engines.settings import EngineName, VLLMSettings
from tvg_lightning.losses.sft import sft_loss
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.step import StepContext, StepResult
from tvg_lightning.parallel import sum_over_ranks
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import RolloutEngine
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import AnswerFormat, Method, MethodName


def sft_step(policy: PolicyBackbone, items: Sequence[Item], context: StepContext, phases: Phases) -> StepResult:
    """Token-mean cross-entropy of every item's target, over the batch of all ranks."""
    phases.enter("loss")
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    targets = []
    for item in items:
        assert item.target is not None, "SFT needs items with a target: the datamodule gives them from its targets"
        targets.append([policy.text_to_ids(item.target)])
    logp_B1C, mask_B1C = policy.logp(prompts, targets)
    logp_BC, mask_BC = logp_B1C[:, 0], mask_B1C[:, 0]
    result = sft_loss(logp_BC, mask_BC, denominator=sum_over_ranks(mask_BC.sum()) / context.world_size)
    work = policy.flops(prompts, targets)
    num_tokens = int(result.num_tokens)
    flops = work.vision + work.loss + work.backward
    return StepResult(result.loss, {"num_tokens": float(num_tokens)}, flops=flops, num_tokens=num_tokens)


class SFTModule(GroundingModule):
    """SFT from a checkpoint on the datamodule's targets, for as many steps as the trainer is given.

    Args:
        policy: the policy's weights, which of them are trained, and at what cost in memory.
        optimizer: AdamW and its schedule (default: the defaults of its keys).
        method: format of the answers; data.method sets it.
        thought: a thought stands before the answers; data.thought sets it (default: as the method has it).
        evaluation: settings of validation, test and predict (default: the defaults of its keys).
        seed: seed of all that is drawn; seed_everything sets it.
        engine: sampler of the completions: builtin, vllm (in each process), vllm_server (started by
            ``python -m tvg_lightning serve``), or a class of yours.
        vllm: settings of vLLM (default: the defaults of its keys).
    """

    needs_windows = False
    needs_targets = True

    def __init__(
        self,
        policy: PolicySettings,
        optimizer: OptimizerSettings | None = None,
        method: MethodName = "tar_tvg",
        thought: bool | None = None,
        evaluation: EvaluationSettings | None = None,
        seed: int = 0,
        engine: EngineName | RolloutEngine = "builtin",
        vllm: VLLMSettings | None = None,
    ) -> None:
        form = AnswerFormat(Method(method), thought)
        super().__init__(policy, form, evaluation or EvaluationSettings(), seed, engine, vllm)
        self.save_hyperparameters(ignore=["engine", "vllm"])
        self.optimizer_settings = optimizer or OptimizerSettings()

    def take_step(self, items: Sequence[Item]) -> StepResult:
        return sft_step(self.policy, items, self.step_context(), self.phases)
