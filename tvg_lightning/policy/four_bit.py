"""The one place that imports bitsandbytes, because it has to be kept quiet."""

import logging

# On every import on a CPU with bf16 it recommends to download a faster kernel; nothing here downloads.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

from bitsandbytes.functional import dequantize_4bit  # noqa: E402
from bitsandbytes.nn.modules import Linear4bit  # noqa: E402
from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit, PagedAdamW32bit  # noqa: E402

__all__ = ["AdamW8bit", "Linear4bit", "PagedAdamW8bit", "PagedAdamW32bit", "dequantize_4bit"]
