"""Notices of libraries that mean nothing to who runs a command, kept off the screen; everything else is shown.

Each is named by its words: a new one is seen until somebody has decided that it says nothing. Our own warnings, and
those of libraries that a user can do something about, stay.
"""

import logging
import re
import warnings

# of libraries among each other
_WARNINGS = (
    r"LightningCLI's args parameter is intended",  # console scripts hand their arguments on
    r".*isinstance\(treespec, LeafSpec\).* is deprecated",  # Lightning 2.6 on torch 2.13
    r"The '.*' does not have many workers",  # frames come from processes of our own, or from a cache
    r"The number of training batches .* is smaller than the logging interval",  # short stages
    r"Checkpoint directory .* exists and is not empty",  # a run that goes on
)
_MODULES = ("jsonargparse",)  # its deprecations are LightningCLI's to mend
# what loggers say, whoever they are of
_LINES = re.compile(
    r".*\bTip: |.*litlogger|"  # other products
    r"(GPU|TPU|HPU|IPU) available: |"  # the device that is used is said by Throughput's metrics and by the config
    r"Failed to load CPU gemm_4bit_forward|"  # a faster kernel of bitsandbytes for CPUs that is not on PyPI
    r"`Trainer\.fit` stopped: `max_epochs|"  # stages count as epochs, and their end is said
    r"Seed set to "
)
_LOGGERS = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "bitsandbytes.backends.cpu.ops",
)


def quiet() -> None:
    """Filter them in this process; for a command, before it does anything."""
    for words in _WARNINGS:
        warnings.filterwarnings("ignore", message=words)
    for module in _MODULES:
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(is_for_users)


def is_for_users(record: logging.LogRecord) -> bool:
    """False for a line that says nothing to a user.

    >>> told = logging.LogRecord("lightning", logging.INFO, "", 0, "GPU available: False, used: False", None, None)
    >>> is_for_users(told)
    False
    """
    return _LINES.match(record.getMessage()) is None


def show_our_logs() -> None:
    """Our own lines, information too, as they are; those of libraries from warnings on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("tvg_lightning", "callbacks"):
        logging.getLogger(name).setLevel(logging.INFO)
