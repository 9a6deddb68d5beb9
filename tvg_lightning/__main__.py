"""``python -m tvg_lightning COMMAND``: everything around training that is not training."""

import logging
import sys
from typing import Any

from jsonargparse import auto_cli

from tvg_lightning.tools import harvest, pretrain_tiny, render

COMMANDS: dict[str, Any] = {
    "render": render.main,
    "pretrain-tiny": pretrain_tiny.main,
    "harvest": harvest.main,
}


def main(args: list[str] | None = None) -> None:
    """Run one command; what a user can mend is said in one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        auto_cli(COMMANDS, args=args, as_positional=False, prog="python -m tvg_lightning")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
