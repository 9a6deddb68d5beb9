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
    starts_W, lengths_W = cu_seq_lens_q[:-1], cu_seq_lens_q.diff()
    lengths = lengths_W.unique().tolist()
    if len(lengths) == 1:
        return _in_windows(query[0], key[0], value[0], lengths[0], scaling)[None], None
    found_Nhd = torch.empty_like(query[0]).transpose(0, 1)
    for length in lengths:
        first_W1 = starts_W[lengths_W == length][:, None]
        rows = (first_W1 + torch.arange(length, device=query.device)).flatten()
        query_hnd, key_hnd, value_hnd = (x[0].index_select(1, rows) for x in (query, key, value))
        found_Nhd = found_Nhd.index_copy(0, rows, _in_windows(query_hnd, key_hnd, value_hnd, length, scaling))
    return found_Nhd[None], None


def _in_windows(query_hnd: Tensor, key_hnd: Tensor, value_hnd: Tensor, length: int, scaling: float) -> Tensor:
    """Windows of one length that lie one behind the other: (n, heads, d)."""
    query_WhLd, key_WhLd, value_WhLd = (
        x.unflatten(1, (-1, length)).transpose(0, 1) for x in (query_hnd, key_hnd, value_hnd)
    )
    found_WhLd = scaled_dot_product_attention(query_WhLd, key_WhLd, value_WhLd, scale=scaling)
    return found_WhLd.transpose(1, 2).flatten(0, 1)


ALL_ATTENTION_FUNCTIONS.register(WINDOWED_ATTENTION, windowed_attention)
