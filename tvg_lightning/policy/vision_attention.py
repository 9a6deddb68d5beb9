"""Attention of the vision tower inside its windows, all windows of one length in one call.

transformers loops over the windows in Python unless a flash kernel is asked for, in which case it hands over
the windows' boundaries. Registered under a name with "flash" in it, this function gets the boundaries on any
device.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

WINDOWED_ATTENTION = "flash_free_windowed_attention"


def windowed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    cu_seq_lens_q: Tensor,
    **unused: object,
) -> tuple[Tensor, None]:
    """Every patch attends to its own window. query, key, value (1, heads, N, d) -> (1, N, heads, d).

    ``cu_seq_lens_q`` holds the windows' boundaries, (num_windows + 1,), from 0 to N.
    """
    starts = cu_seq_lens_q[:-1].tolist()
    lengths = cu_seq_lens_q.diff().tolist()
    out = torch.empty_like(query[0]).transpose(0, 1) if len(set(lengths)) > 1 else None  # (N, heads, d)
    for length in sorted(set(lengths)):
        rows = torch.cat(
            [
                torch.arange(start, start + length, device=query.device)
                for start, n in zip(starts, lengths, strict=True)
                if n == length
            ]
        )
        whole = out is None

        def windows(x: Tensor, rows: Tensor = rows, length: int = length, whole: bool = whole) -> Tensor:
            picked = x[0] if whole else x[0, :, rows]  # (heads, n, d)
            return picked.reshape(picked.shape[0], -1, length, picked.shape[-1]).transpose(0, 1)

        attended = scaled_dot_product_attention(windows(query), windows(key), windows(value), scale=scaling)
        flat = attended.transpose(1, 2).reshape(-1, attended.shape[1], attended.shape[3])  # (n, heads, d)
        if out is None:
            return flat[None], None
        out = out.index_copy(0, rows, flat)
    assert out is not None, "the tower was given no patches"
    return out[None], None


ALL_ATTENTION_FUNCTIONS.register(WINDOWED_ATTENTION, windowed_attention)
