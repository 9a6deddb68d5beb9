"""One run in a folder at a time, and no run over another: what an earlier one has left moves aside.

What the run ran with is recorded there at each start (``machine.json``).

Not all of an earlier run moves: the predictions stay until the next ``predict``, and TensorBoard's logs.
"""

import fcntl
import logging
from pathlib import Path
from typing import IO, Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from callbacks import saved_config
from callbacks.processes import first_does
from tvg_lightning import machine

log = logging.getLogger(__name__)

_OF_A_RUN = ("traces", "harvest", "checkpoints", "summary.json", machine.FILE)
_LOCK = ".run.lock"


class RunFolder(Callback):
    """Guards ``trainer.default_root_dir`` while a fit runs.

    A second fit in the folder is refused. A fit that does not go on from a checkpoint moves the traces, harvests,
    checkpoints and summary of an earlier one to ``earlier-1``, ``earlier-2``, …, and copies its ``config.yaml`` there
    where this fit writes its own in its place. Versions, commit, processors and memory go to ``machine.json``, one
    record a start. ``fast_dev_run`` touches nothing.
    """

    def __init__(self) -> None:
        self._lock: IO[Any] | None = None
        self._is_clear = False
        self._config = Path()
        self._earlier_config: bytes | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit" or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._is_clear = False
        folder = Path(trainer.default_root_dir)
        failure = f"{folder}: no run can be written there; set trainer.default_root_dir"
        log_folder = Path(trainer.log_dir or folder)
        first_does(trainer, lambda: self._take(folder, log_folder / saved_config.FILE), failure)

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._clear(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._clear(trainer)

    def _clear(self, trainer: L.Trainer) -> None:
        """Make room for a fresh run, once: only by now Lightning tells whether there is a checkpoint to go on from."""
        if self._is_clear or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._is_clear = True
        folder = Path(trainer.default_root_dir)
        if trainer.ckpt_path is None:
            failure = f"{folder}: the earlier run there cannot be moved aside; set trainer.default_root_dir"
            first_does(trainer, lambda: _move_aside(folder, self._earlier_config), failure)
        failure = f"{folder}: {machine.FILE} cannot be written there"
        first_does(trainer, lambda: machine.record_start(folder, machine.this_machine(trainer.world_size)), failure)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._lock is not None:
            self._lock.close()  # and so unlocked, as it is when the process dies
            self._lock = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if self._lock is not None and not self._is_clear and self._earlier_config is not None:
            self._config.write_bytes(self._earlier_config)  # this fit was refused before it began
        self.teardown(trainer, pl_module, "fit")

    def _take(self, folder: Path, config: Path) -> None:
        """Lock the folder, ValueError where another process has it; and keep the config that this fit writes over."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / _LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            self._lock = None
            raise ValueError(
                f"{folder}: another run is writing there; wait for its end, or set trainer.default_root_dir"
            ) from error
        except OSError as error:  # a file system without locks
            log.warning("%s cannot be locked (%s): take care that no other run writes there", folder, error)
        self._config, self._earlier_config = config, config.read_bytes() if config.is_file() else None


def _move_aside(folder: Path, config: bytes | None) -> None:
    """Move what an earlier run has left into a folder of its own, with its config."""
    found = [folder / name for name in _OF_A_RUN if (folder / name).exists()]
    if found == [folder / machine.FILE]:  # of a run that did nothing
        found.pop().unlink()
    if not found:
        return
    number = 1
    while (aside := folder / f"earlier-{number}").exists():
        number += 1
    aside.mkdir()
    for path in found:
        path.rename(aside / path.name)
    names = ", ".join(path.name for path in found)
    if config is not None:
        (aside / saved_config.FILE).write_bytes(config)
        names += f", {saved_config.FILE}"
    log.warning("%s holds an earlier run: its %s are in %s now (to go on: --ckpt_path)", folder, names, aside)
