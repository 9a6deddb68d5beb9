"""Moves a StagedModule from stage to stage: at the end of its steps, or when its reward stands still."""

import logging
from collections import deque
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT

from callbacks.anchor_trace import AnchorTrace
from callbacks.processes import first_does, rank_files
from tvg_lightning.harvest import harvest
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.traces import read_traces, write_traces

log = logging.getLogger(__name__)

_NO_MAX_EPOCHS = (-1, 1000)  # what trainer.max_epochs is where nobody has set it


class StageSwitch(Callback):
    """A stage is one Lightning epoch; at its end the next one gets its weights, data, optimizer and schedule.

    Modules without stages are left alone. The harvest for an SFT stage is taken from the traces that the run's
    AnchorTrace writes.
    """

    def __init__(self) -> None:
        self._rewards: deque[float] = deque()

    # ---- set-up

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit" or not isinstance(pl_module, StagedModule):
            return
        pl_module.has_switch = True
        # the trainer's own types leave out what its connectors give it
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        _check_traces(trainer, pl_module)
        num_stages = len(pl_module.stages)
        if trainer.max_epochs not in (*_NO_MAX_EPOCHS, num_stages):
            raise ValueError(
                f"trainer.max_epochs {trainer.max_epochs} does nothing here, for the stages say how long they are "
                f"({num_stages} of them): leave it out; --trainer.max_steps ends a run early"
            )
        trainer.fit_loop.max_epochs = num_stages
        # every stage has data of its own
        trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]

    # ---- leaving early, on a plateau

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not isinstance(pl_module, StagedModule):
            return
        if pl_module.stage.plateau is not None and pl_module.last_step is not None:
            reward = pl_module.last_step.metrics.get("reward")
            if reward is not None:
                mean_reward = trainer.strategy.reduce(pl_module.last_step.loss.new_tensor(reward))
                self._rewards.append(float(mean_reward))
                while len(self._rewards) > 2 * pl_module.stage.plateau.window:
                    self._rewards.popleft()
        if self.on_plateau(pl_module):
            log.info('stage "%s": the reward stands still, moving on', pl_module.stage.name)
            # Lightning validates at the batch that would have been the last; this one is it now
            trainer.val_check_batch = batch_idx + 1
            trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = True

    def on_train_batch_start(  # type: ignore[override]  # Lightning reads the result, its types say None
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> int | None:
        self._move_on(trainer, pl_module)  # after a resume at a stage's end Lightning does not begin an epoch
        if isinstance(pl_module, StagedModule) and self.on_plateau(pl_module):
            return -1  # Lightning's word for: this epoch is over
        return None

    def on_plateau(self, module: StagedModule) -> bool:
        """True where the last window's mean reward is not min_gain above that of the window before."""
        plateau = module.stage.plateau
        if plateau is None or len(self._rewards) < 2 * plateau.window:
            return False
        recent = list(self._rewards)
        before, after = recent[: plateau.window], recent[plateau.window :]
        return sum(after) / plateau.window - sum(before) / plateau.window < plateau.min_gain

    # ---- moving on

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Harvest for the coming stage. Weights stay as they are until it begins: others save them after this."""
        if not isinstance(pl_module, StagedModule):
            return
        self._rewards.clear()
        # an epoch that max_steps, max_time or another callback ended early is no stage that is done
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        pl_module.is_stage_done = True
        coming = pl_module.coming_stage
        if coming is not None and coming.harvest_from is not None and not _is_ending(trainer):
            self._harvest(trainer, pl_module, coming)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._move_on(trainer, pl_module)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse to go on in a folder without the traces of a stage that has begun, where a harvest needs them."""
        if not isinstance(pl_module, StagedModule):
            return
        begun = [stage.name for stage in pl_module.stages[: pl_module.stage_index]]
        if trainer.fit_loop.epoch_loop.batch_progress.current.completed > 0:
            begun.append(pl_module.stage.name)
        for stage in pl_module.stages[pl_module.stage_index + 1 :]:
            if stage.harvest_from in begun and not _trace_files(trainer, stage.harvest_from):
                raise ValueError(
                    f'no traces of stage "{stage.harvest_from}" in {_traces_folder(trainer)}, though the run has been '
                    "in it: set trainer.default_root_dir to the folder of the run"
                )

    def _move_on(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Enter the coming stage, if there is one: its weights, its optimizer, its schedule."""
        if isinstance(module, StagedModule) and module.coming_stage is not None:
            module.enter_stage(module.stage_index + 1)
            trainer.strategy.setup_optimizers(trainer)
            log.info('stage "%s" begins', module.stage.name)

    def _harvest(self, trainer: L.Trainer, module: StagedModule, coming: StageSettings) -> None:
        """The first process reads the traces of all, and writes the ones worth learning from."""
        trainer.strategy.barrier("traces are written")
        failure = f'the harvest for stage "{coming.name}" could not be written'
        first_does(trainer, lambda: self._write_harvest(trainer, module, coming), failure)

    def _write_harvest(self, trainer: L.Trainer, module: StagedModule, stage: StageSettings) -> None:
        source = stage.harvest_from
        assert source is not None
        files = _trace_files(trainer, source)
        if not files:
            raise ValueError(f'no traces of stage "{source}" in {_traces_folder(trainer)}: AnchorTrace wrote none')
        traces = [trace for file in files for trace in read_traces(file)]
        kept = harvest(traces, stage.harvest_rule)
        log.info('stage "%s": %d of %d traces of "%s" are kept', stage.name, len(kept), len(traces), source)
        if not kept:
            raise ValueError(
                f'stage "{stage.name}": none of {len(traces)} traces of "{source}" passes the rule; '
                f'give "{source}" more steps or relax the rule ({stage.harvest_rule})'
            )
        write_traces(module.harvest_file(stage.name), kept)

    def state_dict(self) -> dict[str, Any]:
        return {"rewards": list(self._rewards)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rewards = deque(state_dict["rewards"])


def _check_traces(trainer: L.Trainer, module: StagedModule) -> None:
    """Refuse a harvest, before anything is trained, that nobody writes traces for."""
    needs = next((stage for stage in module.stages if stage.harvest_from is not None), None)
    if needs is not None and _traces_folder(trainer) is None:
        raise ValueError(
            f'stage "{needs.name}" learns from the traces of "{needs.harvest_from}": add the callback AnchorTrace'
        )


def _traces_folder(trainer: L.Trainer) -> Path | None:
    """The folder of the run's AnchorTrace; None without one."""
    writers = [callback for callback in trainer.callbacks if isinstance(callback, AnchorTrace)]  # type: ignore[attr-defined]
    return writers[0].traces_folder(trainer) if writers else None


def _trace_files(trainer: L.Trainer, stage: str) -> list[Path]:
    """The traces of a stage, a file a process."""
    folder = _traces_folder(trainer)
    return [path for path, name, _ in rank_files(folder) if name == stage] if folder is not None else []


def _is_ending(trainer: L.Trainer) -> bool:
    """True where the run ends with this epoch, though stages are left."""
    is_out_of_steps = 0 <= trainer.max_steps <= trainer.global_step
    return bool(trainer.should_stop or is_out_of_steps or trainer.fast_dev_run)  # type: ignore[attr-defined]
