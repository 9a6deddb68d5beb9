"""The one place that imports bitsandbytes, because it has to be kept quiet; for QLoRA and 8-bit states.

Where it is not installed no layer is in 4 bits, and what needs it says so.
"""

import logging
from typing import Any

from torch import Tensor, nn

# On every import on a CPU with bf16 it recommends to download a faster kernel; nothing here downloads.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

_MISSING = "bitsandbytes is not installed: tuning qlora and 8-bit or paged optimizers need it; pip install bitsandbytes"

try:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn.modules import Linear4bit
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit, PagedAdamW32bit
except ImportError:

    class Linear4bit(nn.Linear):  # type: ignore[no-redef]
        """No layer is one of these."""

    class AdamW8bit:  # type: ignore[no-redef]
        def __init__(self, *_: Any, **__: Any) -> None:
            raise ValueError(_MISSING)

    PagedAdamW8bit = PagedAdamW32bit = AdamW8bit  # type: ignore[misc, assignment]

    def dequantize_4bit(*_: Any, **__: Any) -> Tensor:  # type: ignore[misc]
        """Refused: there are no weights in 4 bits."""
        raise ValueError(_MISSING)


__all__ = ["AdamW8bit", "Linear4bit", "PagedAdamW8bit", "PagedAdamW32bit", "dequantize_4bit"]
