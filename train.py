"""Train, validate, test and predict: ``python train.py fit --config configs/quickstart.yaml``."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks.anchor_trace import AnchorTrace
from callbacks.prediction_writer import PredictionWriter
from callbacks.stage_summary import StageSummary
from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from callbacks.throughput import Throughput
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.strategies import strategy_of

# in every run, in this order, each with its settings under its key; trainer.callbacks adds others
STANDING_CALLBACKS: dict[str, type[Callback]] = {
    "anchor_trace": AnchorTrace,
    "throughput": Throughput,
    "stage_switch": StageSwitch,
    "stage_summary": StageSummary,
    "prediction_writer": PredictionWriter,
    "step_checkpoint": StepCheckpoint,
}


class TrainCLI(LightningCLI):
    """LightningCLI, and the settings that must agree between policy, data and trainer said once."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for key, callback in STANDING_CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        parser.add_argument("--tuning", default="full", choices=("full", "lora", "qlora"), help="how to fine-tune")
        parser.link_arguments("tuning", "model.init_args.policy.tuning")
        parser.link_arguments("data.method", "model.init_args.method")
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.seed")
        parser.set_defaults({"trainer.use_distributed_sampler": False, "trainer.max_epochs": 1})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Checkpoints are read as data: no code in them is run."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})
        return parser

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The words ``ddp`` and ``fsdp`` mean this project's settings of them, on GPUs and CPUs alike."""
        for callback in self._get(self.config_init, "trainer.callbacks") or []:
            for key, standing in STANDING_CALLBACKS.items():
                if isinstance(callback, standing):
                    name = standing.__name__
                    raise ValueError(f"trainer.callbacks: {name} is in every run: remove it; its settings are {key}.*")
        strategy = strategy_of(self._get(self.config_init, "trainer.strategy"))
        if strategy is not None:
            kwargs["strategy"] = strategy
        return super().instantiate_trainer(**kwargs)

    def _parse_ckpt_path(self) -> None:
        """A run goes on with the config it is given; Lightning would put the checkpoint's settings in its place."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one of LightningCLI's subcommands."""
    TrainCLI(
        GroundingModule,
        TVGDataModule,
        subclass_mode_model=True,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        args=args if args is None else list(args),
    )


if __name__ == "__main__":
    main()
