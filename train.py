"""Train, validate, test and predict: ``python train.py fit --config configs/quickstart.yaml``."""

import dis
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.fabric.plugins.environments import SLURMEnvironment  # type: ignore[attr-defined]
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks.anchor_trace import AnchorTrace
from callbacks.prediction_writer import PredictionWriter
from callbacks.run_folder import RunFolder
from callbacks.run_progress import RunProgress
from callbacks.saved_config import SavedConfig
from callbacks.stage_summary import StageSummary
from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from callbacks.tensorboard_panels import TensorBoardPanels
from callbacks.throughput import Throughput
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.modules.strategies import strategy_of
from tvg_lightning.notices import quiet, show_our_logs
from tvg_lightning.old_keys import refuse_pixel_options, refuse_pixels
from tvg_lightning.tools.help_text import HelpFormatter

# in every run, in this order, each with its settings under its key; trainer.callbacks adds others
STANDING_CALLBACKS: dict[str, type[Callback]] = {
    "run_folder": RunFolder,
    "anchor_trace": AnchorTrace,
    "throughput": Throughput,
    "stage_switch": StageSwitch,
    "stage_summary": StageSummary,
    "prediction_writer": PredictionWriter,
    "step_checkpoint": StepCheckpoint,
    "run_progress": RunProgress,
    "tensorboard_panels": TensorBoardPanels,
}
_TUNING = "full trains the language model, lora trains adapters on it, qlora does so over weights of 4 bits"
# what the help says of the commands, as a whole and each
_COMMANDS: dict[str, Any] = {
    "description": "Train a policy (fit), evaluate it (validate, test) or let it answer (predict).",
    "fit": {"description": "Train a policy on data.train, and evaluate it on data.val on the way."},
    "validate": {"description": "Evaluate a policy on the splits of data.val."},
    "test": {"description": "Evaluate a policy on the splits of data.test."},
    "predict": {"description": "Answer the queries of data.predict, and write the answers to a file."},
}
# the lines of jsonargparse's complaints that stand around the reason
_AROUND = re.compile(r"(Does not validate against|Subtypes:|Errors:|Given value|- Expected a <class 'NoneType'>)")


class TrainParser(LightningArgumentParser):
    """A parser that says what is wrong in one line, without the list of all its options, and whose help is plain."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", HelpFormatter)
        super().__init__(*args, **kwargs)

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any) -> Any:
        """Read a command line. jsonargparse skips what follows the help of a key: here a dash, not a key within it."""
        line: list[str] = []
        for one in sys.argv[1:] if args is None else args:
            is_within = bool(line) and line[-1].endswith(".help") and one.endswith(".help")
            line += ["-", one] if is_within else [one]
        return super().parse_args(line, *more, **kwargs)

    def validate(self, namespace: Namespace, *args: Any, **kwargs: Any) -> None:
        """Check a config; of keys that were given up it says what to write."""
        refuse_pixels(namespace.items())
        super().validate(namespace, *args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the process; parsers within parsers only tell the outer one."""
        refuse_pixel_options(message)
        if not self.exit_on_error:
            super().error(message, ex)
        self.exit(2, f"error: {one_line(message)}\n")


class TrainCLI(LightningCLI):
    """LightningCLI, and the settings that must agree between policy, data and trainer said once."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for key, callback in STANDING_CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        parser.add_argument("--tuning", default="full", choices=("full", "lora", "qlora"), help=_TUNING)
        parser.link_arguments("tuning", "model.init_args.policy.tuning")
        parser.link_arguments("data.method", "model.init_args.method")
        parser.link_arguments("data.thought", "model.init_args.thought")
        parser.link_arguments("seed_everything", "model.init_args.seed")
        parser.link_arguments("seed_everything", "data.seed")
        parser.set_defaults({"trainer.use_distributed_sampler": False})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """Checkpoints are read as data: no code in them is run."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Say what an unreadable config lacks, which the parser does not."""
        try:
            super().parse_arguments(parser, args)
        except UnicodeDecodeError as error:
            raise ValueError(f"a config is not UTF-8 text ({error}): save it as UTF-8") from error

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint before any weight loads; Lightning's words for one know its own callback only."""
        given = self._get(self.config, "ckpt_path")
        if given is None:
            return
        if "://" in given:
            return  # Lightning opens it
        if given in ("best", "hpc", "registry"):
            raise ValueError(f"ckpt_path: give a file, or last for the run's last.ckpt, not {given}")
        path = Path(given)
        if given == "last":
            root = self._get(self.config, "trainer").default_root_dir or "."
            path = Path(self._get(self.config, "step_checkpoint").dirpath or Path(root) / "checkpoints") / "last.ckpt"
        if not path.exists():
            raise ValueError(f"ckpt_path: there is no checkpoint {path}")
        self.config[self.subcommand].ckpt_path = str(path)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """``ddp`` and ``fsdp`` mean this project's settings of them; one epoch where nothing says how many."""
        for callback in self._get(self.config_init, "trainer.callbacks") or []:
            for key, standing in STANDING_CALLBACKS.items():
                if isinstance(callback, standing):
                    name = standing.__name__
                    raise ValueError(f"trainer.callbacks: {name} is in every run: remove it; its settings are {key}.*")
        has_bar = any(isinstance(c, ProgressBar) for c in self._get(self.config_init, "trainer.callbacks") or [])
        wanted = self._get(self.config_init, "trainer.enable_progress_bar") is not False
        self._get(self.config_init, "run_progress").is_on = wanted and not has_bar
        kwargs["enable_progress_bar"] = wanted and has_bar
        if self._get(self.config_init, "trainer.logger") in (None, True):
            # Lightning's own default, without a metric hp_metric that is -1 for ever
            root = self._get(self.config_init, "trainer.default_root_dir") or os.getcwd()
            job = SLURMEnvironment.job_id()
            kwargs["logger"] = TensorBoardLogger(root, "lightning_logs", version=job, default_hp_metric=False)
        strategy = strategy_of(self._get(self.config_init, "trainer.strategy"))
        if strategy is not None:
            kwargs["strategy"] = strategy
        if self._get(self.config_init, "trainer.max_epochs") is None:
            kwargs["max_epochs"] = -1 if isinstance(self.model, StagedModule) else 1  # stages have their own length
        return super().instantiate_trainer(**kwargs)

    def _parse_ckpt_path(self) -> None:
        """A run goes on with the config it is given; Lightning would put the checkpoint's settings in its place."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one of LightningCLI's subcommands."""
    TrainCLI(
        GroundingModule,
        TVGDataModule,
        parser_class=TrainParser,
        parser_kwargs=_COMMANDS,
        subclass_mode_model=True,
        seed_everything_default=0,
        save_config_callback=SavedConfig,
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        args=args if args is None else list(args),
    )


def one_line(message: str) -> str:
    """The reason in a complaint of many lines.

    >>> one_line("Does not validate against any of the Union subtypes\\nErrors:\\n  - stages is empty")
    'stages is empty'
    """
    reasons = ""
    for line in map(str.strip, message.splitlines()):
        if line and not _AROUND.match(line):
            is_next = line.startswith("- ") and reasons and not reasons.endswith(":")
            reasons += ("; " if is_next else " ") + line.removeprefix("- ")
    return reasons.strip()


def complaint(error: Exception) -> str | None:
    """The words for what a user can fix; None for a fault of the code, which needs its traceback.

    That is a ValueError of arithmetic: of torch, of numpy, or of an operation that no ``raise`` stands before.
    """
    at = error.__traceback__
    assert at is not None
    while at.tb_next is not None:
        at = at.tb_next
    package = str(at.tb_frame.f_globals.get("__name__")).partition(".")[0]
    is_raised = dis.opname[at.tb_frame.f_code.co_code[at.tb_lasti]] == "RAISE_VARARGS"
    if isinstance(error, ValueError) and (package in ("torch", "numpy") or not is_raised):
        return None
    return one_line(str(error))


def script() -> None:
    """Run ``main`` as a command: what a user can fix is one line and exit status 1."""
    quiet()
    show_our_logs()
    try:
        main()
    except (ValueError, OSError, MisconfigurationException) as error:
        words = complaint(error)
        if words is None:
            raise
        sys.exit(f"error: {words}")


if __name__ == "__main__":
    script()
