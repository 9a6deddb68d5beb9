"""The names are bitsandbytes' own, and its advice to download something is not shown."""

import logging

import bitsandbytes as bnb
import pytest

from tvg_lightning.policy import four_bit


def test_the_names_are_its_own() -> None:
    assert four_bit.Linear4bit is bnb.nn.Linear4bit
    assert (four_bit.AdamW8bit, four_bit.PagedAdamW8bit, four_bit.PagedAdamW32bit) == (
        bnb.optim.AdamW8bit, bnb.optim.PagedAdamW8bit, bnb.optim.PagedAdamW32bit,
    )  # fmt: skip


def test_it_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    logger.warning("a faster kernel can be downloaded")
    assert logger.level == logging.ERROR and capfd.readouterr().err == ""
