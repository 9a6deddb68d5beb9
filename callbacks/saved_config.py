"""The settings of a command beside its logs: a fit's are config.yaml, and no later command writes over them."""

import lightning as L
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn

FILE = "config.yaml"  # of a fit


class SavedConfig(SaveConfigCallback):
    """Writes ``config.yaml`` for a fit, and ``validate.yaml``, ``test.yaml`` or ``predict.yaml`` for the others.

    All lie in the folder of the logger (``trainer.log_dir``), which a later command may share with the fit.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.config_filename = FILE if stage == "fit" else f"{TrainerFn(stage).value}.yaml"
        super().setup(trainer, pl_module, stage)
