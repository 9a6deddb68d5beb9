"""Several stages on one policy: TAR-TVG's GRPO -> SFT -> GRPO, TVG-R1's SFT -> GRPO, or any other list.

A stage is one Lightning epoch. The callback StageSwitch calls ``enter_stage``; where the run stands is in the
checkpoint, so a resumed run goes on in the right stage.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tvg_lightning.data.items import Item
from tvg_lightning.data_plan import DataPlan
from tvg_lightning.engines.settings import EngineName, VLLMSettings
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.grpo import GRPOObjective
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.settings import StageSettings, check_frames, check_stages
from tvg_lightning.modules.sft import sft_step
from tvg_lightning.modules.step import StepContext, StepResult
from tvg_lightning.policy.backbone import Weights
from tvg_lightning.policy.generation import RolloutEngine
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.schema import AnswerFormat, Method, MethodName
from tvg_lightning.traces import num_traces

# stages draw from different epochs: no stage repeats the shuffles and tasks of another
_EPOCHS_A_STAGE = 100_000


class StagedModule(GroundingModule):
    """Runs ``stages`` one after the other; each has its own objective, data, length and optimizer.

    Args:
        policy: the policy's weights, which of them are trained, and at what cost in memory.
        stages: the stages in their order; the keys of one are in --model.stages.help.
        method: format of the answers; data.method sets it.
        thought: a thought stands before the answers; data.thought sets it (default: as the method has it).
        evaluation: settings of validation, test and predict (default: the defaults of its keys).
        seed: seed of all that is drawn; seed_everything sets it.
        engine: sampler of the completions: builtin, vllm (in each process), vllm_server (started by
            ``python -m tvg_lightning serve``), or a class of yours.
        vllm: settings of vLLM (default: the defaults of its keys).
    """

    def __init__(
        self,
        policy: PolicySettings,
        stages: list[StageSettings],
        method: MethodName = "tar_tvg",
        thought: bool | None = None,
        evaluation: EvaluationSettings | None = None,
        seed: int = 0,
        engine: EngineName | RolloutEngine = "builtin",
        vllm: VLLMSettings | None = None,
    ) -> None:
        form = AnswerFormat(Method(method), thought)
        super().__init__(policy, form, evaluation or EvaluationSettings(), seed, engine, vllm)
        check_stages(stages)
        if self.evaluation.preset is None:  # else the format is that of an evaluation, not of training
            for stage in stages:
                stage.check_format(form)
        self.save_hyperparameters(ignore=["engine", "vllm"])
        self.stages = stages
        self.stage_index = 0
        self.is_stage_done = False  # all its batches were taken; the next one begins with the next epoch
        self.has_switch = False  # set by the callback StageSwitch
        self.base: Weights | None = None  # the run's first weights, kept where a stage asks for them
        self.objective = self._objective()

    # ---- the stage that runs now

    @property
    def stage(self) -> StageSettings:
        return self.stages[self.stage_index]

    @property
    def coming_stage(self) -> StageSettings | None:
        """The stage that begins with the next epoch, where the present one is done and not the last."""
        coming = self.stage_index + 1
        return self.stages[coming] if self.is_stage_done and coming < len(self.stages) else None

    @property
    def optimizer_settings(self) -> OptimizerSettings:  # type: ignore[override]
        return self.stage.optimizer

    @property
    def needs_windows(self) -> bool:  # type: ignore[override]
        return any(stage.grpo is not None for stage in self.stages)

    @property
    def needs_captions(self) -> bool:  # type: ignore[override]
        return any(stage.grpo is not None and stage.grpo.warm_start is not None for stage in self.stages)

    @property
    def needs_targets(self) -> bool:  # type: ignore[override]
        return any(stage.sft and stage.harvest_from is None for stage in self.stages)

    def take_step(self, items: Sequence[Item]) -> StepResult:
        if self.objective is not None:
            return self.objective.step(self.policy, items, self.step_context(), self.training_set(), self.phases)
        return sft_step(self.policy, items, self.step_context(), self.phases)

    def step_context(self) -> StepContext:
        return replace(super().step_context(), stage=self.stage.name, epoch_of_stage=0)

    def enter_stage(self, index: int) -> None:
        """Begin a stage: from the previous stage's weights or from the base, with itself as its reference."""
        self.stage_index, self.is_stage_done = index, False
        if self.stage.start_from == "base" and index > 0:
            assert self.base is not None, "configure_model keeps the base where a stage starts from it"
            self.policy.load_trainable_weights(self.base)
        self.objective = self._objective()
        if self.objective is not None:
            self.objective.begin(self.policy, self.base)

    def _objective(self) -> GRPOObjective | None:
        """The objective of a GRPO stage, which lasts from step to step; None in an SFT stage."""
        stage = self.stage
        if stage.grpo is None:
            return None
        rewards = Rewards(self.form, stage.reward, stage.anchors, stage.length, stage.frame_dependence)
        return GRPOObjective(stage.grpo, rewards, self.engine)

    # ---- how long it is and what it learns from

    def optimizer_names(self) -> list[str]:
        return [stage.optimizer.name for stage in self.stages]

    def num_steps(self) -> int:
        """Optimizer steps of this stage."""
        return math.ceil(self._num_batches(self.stage) / self.trainer.accumulate_grad_batches)

    def data_plan(self) -> DataPlan:
        """The data of the stage that takes the next batch: Lightning asks for them before the epoch begins."""
        stage = self.coming_stage or self.stage
        return DataPlan(
            batch_size=_prompts_a_batch(stage),
            mixture=stage.mixture,
            first_epoch=self.stages.index(stage) * _EPOCHS_A_STAGE,
            num_batches=self._num_batches(stage),
            updates_per_batch=_updates_a_batch(stage),
            targets=self._targets(stage),
        )

    def _num_batches(self, stage: StageSettings) -> int:
        """Batches of a stage: its steps, or its epochs over what it learns from, whichever is less."""
        limits = []
        if stage.steps is not None:
            limits.append(stage.steps * self.trainer.accumulate_grad_batches)
        if stage.epochs is not None:
            data, targets = self.datamodule(), self._targets(stage)
            num_prompts = stage.epochs * (data.num_train_samples() if targets is None else _num_targets(targets))
            num_rollouts = math.ceil(num_prompts / (_prompts_a_batch(stage) * self.trainer.world_size))
            limits.append(num_rollouts * _updates_a_batch(stage))
        return min(limits)

    def harvest_file(self, stage_name: str) -> Path:
        """The file with the harvest for an SFT stage."""
        return Path(self.trainer.default_root_dir) / "harvest" / f"{stage_name}.jsonl"

    def _targets(self, stage: StageSettings) -> Path | None:
        """The completions that an SFT stage learns: harvested, or given to the datamodule."""
        if stage.harvest_from is not None:
            file = self.harvest_file(stage.name)
            if not file.is_file():
                raise ValueError(
                    f'stage "{stage.name}" learns from {file}, which is not there: is trainer.default_root_dir that of '
                    f'the run? `python -m tvg_lightning harvest` makes it from the traces of "{stage.harvest_from}"'
                )
            return file
        targets = self.datamodule().targets
        return Path(targets) if stage.sft and targets is not None else None

    # ---- Lightning's hooks

    def configure_model(self) -> None:
        is_new = not hasattr(self, "policy")
        super().configure_model()
        if is_new:
            if any(stage.needs_base for stage in self.stages):
                self.base = self.policy.trainable_weights()
            if self.objective is not None:
                self.objective.begin(self.policy, self.base)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and len(self.stages) > 1 and not self.has_switch:
            raise ValueError("several stages need the callback StageSwitch: add it to the trainer's callbacks")
        if stage == "fit":
            for one in self.stages:
                one.check_format(self.form)
            self._check_validation()
            for one in self.stages:
                if one.reward.frame_dependence > 0:
                    where = f'stages: "{one.name}": reward.frame_dependence'
                    check_frames(one.frame_dependence.radius_s, self.datamodule().frames, where)

    def _check_validation(self) -> None:
        """Refuse, before anything is trained, an interval that a later stage would be too short for."""
        interval = self.trainer.val_check_interval
        for stage in self.stages:
            num_batches = (stage.steps or 0) * self.trainer.accumulate_grad_batches
            if isinstance(interval, int) and self.trainer.check_val_every_n_epoch and 0 < num_batches < interval:
                raise ValueError(
                    f'trainer.val_check_interval {interval} is longer than stage "{stage.name}", which has '
                    f"{num_batches} batches: lower it"
                )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        objective = None if self.objective is None else self.objective.state_dict(self.unfinished_step)
        checkpoint["stage"] = {
            "name": self.stage.name,
            "index": self.stage_index,
            "is_done": self.is_stage_done,
            "is_at_last_batch": self._progress.is_last_batch and not self.is_mid_step,
            "objective": objective,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        stage = checkpoint.get("stage")
        if stage is None or (self._trainer is not None and not self._is_fitting):
            return  # of another module, or to be evaluated: its weights are all that is wanted
        if self._trainer is None and stage["index"] >= len(self.stages):
            return  # load_from_checkpoint with other stages
        if self._is_fitting:
            self._check_stage(stage)
        self.stage_index, self.is_stage_done = stage["index"], stage["is_done"]
        self.objective = self._objective()
        if self.objective is not None:
            self.objective.load_state_dict(stage["objective"])

    def _check_stage(self, saved: dict[str, Any]) -> None:
        """Refuse a checkpoint whose stage is another one here, or whose end Lightning would pass over."""
        names = [stage.name for stage in self.stages]
        if saved["name"] not in names[saved["index"] : saved["index"] + 1]:
            raise ValueError(
                f'the checkpoint is in stage "{saved["name"]}", number {saved["index"] + 1} of its run; the config has '
                f"{', '.join(names)}: keep the stages that are done in the list, and in their order"
            )
        if (saved["objective"] is None) != (self.stages[saved["index"]].grpo is None):
            was, here = ("SFT", "GRPO") if saved["objective"] is None else ("GRPO", "SFT")
            raise ValueError(f'stage "{saved["name"]}" was one of {was} in the checkpoint, and is one of {here} here')
        if saved["is_at_last_batch"] and not saved["is_done"]:
            raise ValueError(
                f'the checkpoint was written at the last batch of stage "{saved["name"]}", before its evaluation and '
                "harvest, which Lightning does not make up for: go on from another one, such as last.ckpt"
            )


def _num_targets(file: Path) -> int:
    """The completions in a file, which is read once: the schedule asks for the length of a stage at every step."""
    state = file.stat()
    return _counted(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _counted(file: Path, written_ns: int, num_bytes: int) -> int:
    return num_traces(file)


def _prompts_a_batch(stage: StageSettings) -> int:
    return stage.batch_size * (1 if stage.grpo is None else stage.grpo.num_minibatches)


def _updates_a_batch(stage: StageSettings) -> int:
    return 1 if stage.grpo is None else stage.grpo.updates_per_rollout
