"""Lines and warnings that are kept off the screen, and those that are not."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from tvg_lightning import notices


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """Filters go when the test does."""
    root_level = logging.getLogger().level
    with warnings.catch_warnings():
        yield
    for name in notices._LOGGERS:
        logging.getLogger(name).removeFilter(notices.is_for_users)
    logging.getLogger().setLevel(root_level)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("GPU available: False, used: False", False),
        ("TPU available: False, using: 0 TPU cores", False),
        ("💡 Tip: For seamless cloud logging, try installing [litlogger](https://pypi.org/project/litlogger/)", False),
        ("Seed set to 0", False),
        ("`Trainer.fit` stopped: `max_epochs=3` reached.", False),
        ("`Trainer.fit` stopped: `max_steps=4` reached.", True),
        ("LOCAL_RANK: 0 - CUDA_VISIBLE_DEVICES: [0]", True),
        ("Loading `train_dataloader` to estimate number of stepping batches.", True),
    ],
)
def test_lines_of_lightning(line: str, shown: bool, caplog: pytest.LogCaptureFixture) -> None:
    notices.quiet()
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    caplog.set_level("INFO", logger.name)
    logger.addHandler(caplog.handler)
    logger.info(line)
    logger.removeHandler(caplog.handler)
    assert (line in caplog.text) == shown


@pytest.mark.parametrize(
    ("words", "kind", "shown"),
    [
        ("`isinstance(treespec, LeafSpec)` is deprecated, use `isinstance(treespec, TreeSpec)`", FutureWarning, False),
        ("The 'train_dataloader' does not have many workers which may be a bottleneck.", UserWarning, False),
        ("LightningCLI's args parameter is intended to run from within Python", UserWarning, False),
        ("The video is long", UserWarning, True),
    ],
)
def test_warnings(words: str, kind: type[Warning], shown: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        notices.quiet()
        warnings.warn(words, kind, stacklevel=1)
    assert bool(caught) == shown


def test_our_own_lines_are_shown_and_libraries_are_from_warnings_on() -> None:
    notices.show_our_logs()
    assert logging.getLogger("tvg_lightning.data.video").isEnabledFor(logging.INFO)
    assert logging.getLogger("callbacks.stage_switch").isEnabledFor(logging.INFO)
