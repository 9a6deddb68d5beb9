"""The part that all training modules share: policy, evaluation, optimizer, log. Only the step differs."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tvg_lightning.data.batches import settle
from tvg_lightning.data.items import Item
from tvg_lightning.data.training_set import TrainingSet
from tvg_lightning.data_plan import DataPlan
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.engines.choice import check_beginnings, engine_of, release
from tvg_lightning.engines.settings import EngineName, VLLMSettings
from tvg_lightning.modules.evaluation import (
    DIAGNOSTIC,
    Evaluated,
    SplitMetrics,
    evaluate,
    merged_questions,
    prediction_record,
)
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.optimizer import make_optimizer, parameter_groups, state_by_name, state_by_number, take_rates
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.precision import compute_dtype, leave_to_the_policy
from tvg_lightning.modules.preset_frames import frames_differ
from tvg_lightning.modules.settings import check_frames
from tvg_lightning.modules.step import StepContext, StepResult
from tvg_lightning.modules.warm_start import check_engine
from tvg_lightning.parallel import mean_over_ranks
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import RolloutEngine
from tvg_lightning.policy.identity import base_fingerprint
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.sharding import check_sharding, shard
from tvg_lightning.schema import AnswerFormat, Task

log = logging.getLogger(__name__)


class GroundingModule(L.LightningModule):
    """A policy and its training. A subclass (GRPOModule, SFTModule, StagedModule) says how a step is taken."""

    policy: PolicyBackbone
    optimizer_settings: OptimizerSettings
    needs_windows = True  # of every sample to train on: completions are rewarded by them
    needs_captions = False  # of some of them: completions begin with them
    needs_targets = False  # the completions to learn come from data.targets

    def __init__(
        self,
        policy: PolicySettings,
        form: AnswerFormat,
        evaluation: EvaluationSettings,
        seed: int,
        engine: EngineName | RolloutEngine,
        vllm: VLLMSettings | None,
    ) -> None:
        super().__init__()
        evaluation.scorer(form)  # refuses a preset for another format
        self.engine = engine_of(engine, vllm)  # generates the completions
        if evaluation.empty_thought:
            check_engine(self.engine, "evaluation.empty_thought")
            check_beginnings(self.engine, evaluation.presence_penalty)
        self.policy_settings, self.form, self.evaluation, self.seed_value = policy, form, evaluation, seed
        self._merged: dict[str, frozenset[str]] = {}  # questions of each split that count as one with a later one
        self.metrics = nn.ModuleDict()  # one SplitMetrics for each evaluated split
        self.last_metrics: dict[str, dict[str, float]] = {}  # of the latest evaluation, by split
        self.last_step: StepResult | None = None  # for callbacks
        self.phases = Phases()
        self.last_asked: list[str] = []  # the samples of ``last_step``
        self.last_evaluated: list[Evaluated] = []  # for callbacks: the batch just evaluated
        if policy.tuning != "full":
            self.strict_loading = False  # checkpoints of adapters hold the adapters only

    # ---- to be said by a subclass

    def take_step(self, items: Sequence[Item]) -> StepResult:
        raise NotImplementedError

    def data_plan(self) -> DataPlan | None:
        """The batches to ask of the datamodule for training; None leaves them to the datamodule's own settings."""
        return None

    def feature_identity(self) -> tuple[str, torch.dtype]:
        """Digest of the vision weights and dtype of the features, which a cache goes by; once weights are loaded."""
        return self.policy.vision_identity(), self.policy.head.dtype

    def token_side(self) -> int:
        """Pixels of a video token's side, to which frames are resized; once weights are loaded."""
        return self.policy.side

    def datamodule(self) -> TVGDataModule:
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(datamodule, TVGDataModule):
            raise ValueError("the module takes its data from a TVGDataModule: trainer.fit(module, datamodule)")
        return datamodule

    def training_set(self) -> TrainingSet:
        """The training set of the running stage, once the datamodule has been asked for its batches."""
        training_set = self.datamodule().training_set
        assert training_set is not None
        return training_set

    def splits(self) -> list[str]:
        """The names of the splits that are evaluated now, in the order of their loaders."""
        return self.datamodule().evaluation_splits

    def optimizer_names(self) -> list[str]:
        """Names of all optimizers that the run will have."""
        return [self.optimizer_settings.name]

    @property
    def preset_label(self) -> str | None:
        """The name that stands beside every number of a preset, and what is not the preset's; None without one."""
        label, preset = self.evaluation.scorer(self.form).label, self.evaluation.preset
        if label is None or preset is None:
            return None
        changed = [("empty_thought", self.evaluation.empty_thought)]
        changed.append(("frames_changed", frames_differ(preset, self.datamodule().frames)))
        return "_".join([label, *(words for words, is_so in changed if is_so)])

    def num_steps(self) -> int:
        """Optimizer steps over which the schedule runs."""
        return int(self.trainer.estimated_stepping_batches)

    # ---- Lightning's hooks

    def configure_model(self) -> None:
        """Weights are loaded here, after every setting and every file of annotations has been checked."""
        if not hasattr(self, "policy"):
            self.policy = PolicyBackbone(self.policy_settings)
            if self.device_mesh is not None:  # given by ModelParallelStrategy, that is FSDP2
                dtype = compute_dtype(str(self.trainer.precision), self.policy.head.dtype)
                shard(self.policy, self.device_mesh["data_parallel"], dtype)

    def setup(self, stage: str) -> None:
        is_sharded = self.device_mesh is not None
        if str(self.trainer.precision).startswith("16"):
            raise ValueError(f"trainer.precision {self.trainer.precision} has too small a range: take bf16-mixed")
        if isinstance(self.trainer.precision_plugin, HalfPrecision):
            leave_to_the_policy(self.trainer.precision_plugin)
        if self.trainer.overfit_batches > 0:  # type: ignore[attr-defined]
            raise ValueError(
                "trainer.overfit_batches does nothing here, for batches go on through the data: set it to 0, "
                "and give data.train few samples"
            )
        self.datamodule().reading.check_feature_cache(self.policy_settings.trains_vision, is_sharded)
        if is_sharded or stage == "fit":
            check_sharding(self.policy_settings, self.optimizer_names(), is_sharded)
        if self.evaluation.frame_dependence:
            check_frames(DIAGNOSTIC.radius_s, self.datamodule().frames, "evaluation.frame_dependence")
        published = self.evaluation.scorer(self.form).published
        if published is not None and published.merges:
            self._merged = {name: merged_questions(self.datamodule().samples_of(name)) for name in self.splits()}
        self.metrics.clear()  # those of a call before, such as fit before test
        for name in self.splits():
            self.metrics[name] = SplitMetrics(self.evaluation, self.form, self.datamodule().kinds_of(name))

    def training_step(self, batch: list[Item], batch_idx: int) -> Tensor:
        self.phases.start(self.device)
        step = self.take_step(batch)
        self.last_step, self.last_asked = step, [item.sample.sample_id for item in step.items or batch]
        if step.fault is not None:  # callbacks keep the traces of ``last_step``
            raise ValueError(step.fault)
        metrics = {f"train/{name}": value for name, value in mean_over_ranks(step.metrics).items()}
        self.log("train/loss", step.loss.detach(), prog_bar=True, batch_size=len(batch), sync_dist=True)
        if "train/reward" in metrics:
            self.log("reward", metrics["train/reward"], prog_bar=True, logger=False, batch_size=len(batch))
        metrics |= {f"train/{name}": value for name, value in self.datamodule().metrics().items()}
        self.log_dict(metrics, batch_size=len(batch))
        return step.loss

    def on_train_start(self) -> None:
        """Take rates and decay from the settings: a checkpoint that was loaded has brought its own."""
        (optimizer,), (schedule,) = self.trainer.optimizers, self.trainer.lr_scheduler_configs
        assert isinstance(schedule.scheduler, LambdaLR)
        take_rates(optimizer, schedule.scheduler, self.policy, self.optimizer_settings)

    def validation_step(self, batch: list[Item], batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, dataloader_idx)

    def test_step(self, batch: list[Item], batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(batch, dataloader_idx)

    def predict_step(self, batch: list[Item], batch_idx: int, dataloader_idx: int = 0) -> list[dict[str, object]]:
        label = self.preset_label
        named = {} if label is None else {"preset": label}
        return [prediction_record(e) | named for e in self._answers(batch)]

    def on_validation_epoch_end(self) -> None:
        self._conclude()

    def on_test_epoch_end(self) -> None:
        self._conclude()

    def on_predict_epoch_end(self) -> None:
        release(self.engine)

    def _evaluate(self, batch: list[Item], dataloader_idx: int) -> None:
        split = self.splits()[dataloader_idx]
        self.last_evaluated = self._answers(batch)
        metrics = self.metrics[split]
        assert isinstance(metrics, SplitMetrics)
        merged = self._merged.get(split, frozenset())
        counted = [e for e in self.last_evaluated if e.item.task != Task.TVG or e.item.sample.sample_id not in merged]
        metrics.update(counted)

    def _answers(self, batch: list[Item]) -> list[Evaluated]:
        answers = evaluate(self.policy, batch, self.form, self.evaluation, self.engine, self.seed_value)
        return [answer for answer in answers if not answer.item.is_repeated]

    def _conclude(self) -> None:
        """Compute, log and reset the metrics of every split; a preset's name stands in theirs."""
        label = self.preset_label
        for split, metrics in self.metrics.items():
            assert isinstance(metrics, SplitMetrics)
            prefix = split if label is None else f"{split}/{label}"
            self.last_metrics[split] = metrics.compute()
            metrics.reset()
            self.log_dict(
                {f"{prefix}/{name}": value for name, value in self.last_metrics[split].items()}, rank_zero_only=True
            )
        release(self.engine)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        check_sharding(self.policy_settings, [self.optimizer_settings.name], self.device_mesh is not None)
        optimizer = make_optimizer(self.policy, self.optimizer_settings)

        def factor(step: int) -> float:
            # Asked anew at every step: where weights are sharded, the stage of a resumed run is known only later.
            # At step 0 the length does not matter, and asking would set the data up before its place is restored.
            return self.optimizer_settings.factor(step, self.num_steps() if step else 1)

        schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_before_backward(self, loss: Tensor) -> None:
        self.phases.enter("backward")

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """The gradient's norm for the log; where it is not a number, the update is refused or skipped."""
        self.phases.enter("optimizer")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        is_finite = bool(norm.isfinite())  # the same on every rank: gradients are averaged by now
        self.log("train/skipped", float(not is_finite))
        if is_finite:
            self.log("train/grad_norm", norm)
            return
        asked = ", ".join(self.last_asked)
        if self.optimizer_settings.nonfinite == "stop":
            raise ValueError(
                f"step {self.trainer.global_step}: the gradient is not finite; its prompts were of {asked}. "
                "AnchorTrace keeps what was answered. Lower the learning rate, or set optimizer.nonfinite to skip"
            )
        log.warning("step %d: the gradient is not finite, update skipped (%s)", self.trainer.global_step, asked)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.policy.note_change()  # some optimizers write past autograd's counts

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["batches_done"] = self._progress.total.processed  # traces of later batches are of steps not taken
        for loader in checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", ()):
            settle(loader, self.is_mid_step, is_over=self._progress.is_last_batch)
        if self.policy_settings.tuning != "full":
            trained = {name for name, p in self.named_parameters() if p.requires_grad}
            checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained}
            checkpoint["base"] = {"checkpoint": self.policy_settings.checkpoint, "fingerprint": self._base_fingerprint}
        checkpoint["policy"] = asdict(self.policy_settings)
        checkpoint["module"] = type(self).__name__
        # a sharded strategy numbers all parameters, the others those that the optimizer has
        names = self._optimized_names() if self.device_mesh is None else [name for name, _ in self.named_parameters()]
        if "optimizer_states" in checkpoint:  # there are none beside weights alone
            checkpoint["optimizer_states"] = [state_by_name(state, names) for state in checkpoint["optimizer_states"]]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._check_meaning(checkpoint)
        base = checkpoint.get("base")
        if self.policy_settings.tuning != "full" and base and base["fingerprint"] != self._base_fingerprint:
            raise ValueError(
                f"the checkpoint's adapters were trained on {base['checkpoint']}, and mean nothing on another base: "
                f"policy.checkpoint is {self.policy_settings.checkpoint}"
            )
        if self._is_fitting and self.device_mesh is None:  # a sharded run has loaded them by now
            if "optimizer_states" not in checkpoint:
                raise ValueError(
                    "the checkpoint holds weights alone (save_weights_only), from which no run can go on: take one "
                    "with its optimizer, such as last.ckpt, or begin a new run from exported weights"
                )
            names = self._optimized_names()
            checkpoint["optimizer_states"] = [state_by_number(state, names) for state in checkpoint["optimizer_states"]]

    @property
    def _is_fitting(self) -> bool:
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING

    def _check_meaning(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that mean another policy under these settings, and a run of another module to go on with."""
        if "policy" not in checkpoint:
            raise ValueError("the checkpoint is of no training run of this project: it does not say what its policy is")
        saved, ours = checkpoint["policy"], asdict(self.policy_settings)
        keys = ["tuning"] if ours["tuning"] == "full" else ["tuning", "lora_rank", "lora_alpha"]
        if self._is_fitting:
            keys += ["train_vision_tower", "train_merger"]
            if checkpoint["module"] != type(self).__name__:
                raise ValueError(
                    f"the checkpoint is of a {checkpoint['module']}, the config has a {type(self).__name__}"
                )
        for key in keys:
            if saved[key] != ours[key]:
                raise ValueError(
                    f"the checkpoint was written with policy.{key} {saved[key]}, the config has {ours[key]}"
                )

    @cached_property
    def _base_fingerprint(self) -> str | None:
        """Tells the base of adapters from another; None for random weights, which no file holds."""
        checkpoint = self.policy_settings.checkpoint
        return None if checkpoint.endswith(".json") else base_fingerprint(checkpoint)

    def _optimized_names(self) -> list[str]:
        """The names of the optimizer's parameters, in its order."""
        name_of = {id(parameter): name for name, parameter in self.named_parameters()}
        groups = parameter_groups(self.policy, self.optimizer_settings)
        return [name_of[id(parameter)] for group in groups for parameter in group["params"]]

    def step_context(self) -> StepContext:
        """The step context of the coming step."""
        epoch = self.trainer.current_epoch
        return StepContext(self.seed_value, "train", self._batch_index(), epoch, self.trainer.world_size, epoch)

    @property
    def is_mid_step(self) -> bool:
        """True between the begin of a step and its end, as after an error or a signal."""
        return self._progress.current.ready > self._progress.current.processed

    @property
    def unfinished_step(self) -> int | None:
        """The index of the step that has begun and not ended; None between steps."""
        return self._batch_index() if self.is_mid_step else None

    @property
    def _progress(self) -> Any:
        """Lightning's counts of batches, whose types leave out what they have."""
        return self.trainer.fit_loop.epoch_loop.batch_progress

    def _batch_index(self) -> int:
        """Index of this batch in the run, from 0, over all epochs."""
        return int(self.trainer.fit_loop.total_batch_idx)
