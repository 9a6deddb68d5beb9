"""The kernels of ``varlen_attention``: two of PyTorch's for CUDA, and one in plain steps to test with on any device.

Signatures and shapes are those of torch 2.13; what is given by position is the same in torch 2.11.
"""

import torch
from torch import Tensor

from tvg_lightning.policy.varlen_attention import Found, Grads, VarlenKernel, VarlenPart

_NO_DROPOUT = 0.0


class FlashKernel:
    """FlashAttention for bfloat16 and float16; query heads share a key head inside the kernel."""

    @staticmethod
    def forward(query_ThD: Tensor, key_SKD: Tensor, value_SKD: Tensor, part: VarlenPart, scaling: float) -> Found:
        found_ThD, lse_hT, *_ = torch.ops.aten._flash_attention_forward(
            query_ThD, key_SKD, value_SKD, part.query_ends, part.key_ends, part.longest_query, part.longest_key,
            _NO_DROPOUT, part.causal, False, scale=scaling,
        )  # fmt: skip
        return found_ThD, lse_hT

    @staticmethod
    def backward(
        grad_ThD: Tensor,
        query_ThD: Tensor,
        key_SKD: Tensor,
        value_SKD: Tensor,
        merged: Found,
        part: VarlenPart,
        scaling: float,
    ) -> Grads:
        # of dropout's random numbers, of which there are none
        state = torch.zeros(2, dtype=torch.uint64, device=query_ThD.device)
        unused = torch.empty(0, device=query_ThD.device)
        grads: Grads = torch.ops.aten._flash_attention_backward(
            grad_ThD.contiguous(), query_ThD, key_SKD, value_SKD, *merged, part.query_ends, part.key_ends,
            part.longest_query, part.longest_key, _NO_DROPOUT, part.causal, state, unused, scale=scaling,
        )  # fmt: skip
        return grads


_LSE_MULTIPLE = 32  # the efficient kernel pads every sequence's log-sum-exps to a multiple of so many


class EfficientKernel:
    """Memory-efficient attention, also for float32.

    It wants as many key heads as query heads. Rather than copy keys, it runs once for every query head of a key head,
    seven or eight times in the released models.
    """

    @staticmethod
    def forward(query_ThD: Tensor, key_SKD: Tensor, value_SKD: Tensor, part: VarlenPart, scaling: float) -> Found:
        query_TKgD = query_ThD.unflatten(1, (key_SKD.shape[1], -1))
        found_TKgD = torch.empty_like(query_TKgD, memory_format=torch.contiguous_format)
        lse_KgT = torch.empty((*query_TKgD.shape[1:3], len(query_ThD)), dtype=torch.float32, device=query_ThD.device)
        sequence_T, order_T = _places(part, len(query_ThD))
        for number in range(query_TKgD.shape[2]):
            found_1TKD, lse_PKt, *_ = torch.ops.aten._efficient_attention_forward(
                query_TKgD[None, :, :, number], key_SKD[None], value_SKD[None], None, part.query_ends, part.key_ends,
                part.longest_query, part.longest_key, _NO_DROPOUT, int(part.causal), True, scale=scaling,
            )  # fmt: skip
            found_TKgD[:, :, number] = found_1TKD[0]
            lse_KgT[:, number] = lse_PKt.transpose(0, 1)[:, sequence_T, order_T]
        return found_TKgD.flatten(1, 2), lse_KgT.flatten(0, 1)

    @staticmethod
    def backward(
        grad_ThD: Tensor,
        query_ThD: Tensor,
        key_SKD: Tensor,
        value_SKD: Tensor,
        merged: Found,
        part: VarlenPart,
        scaling: float,
    ) -> Grads:
        heads = (key_SKD.shape[1], -1)
        grad_TKgD, query_TKgD, found_TKgD = (x.unflatten(1, heads) for x in (grad_ThD, query_ThD, merged[0]))
        lse_KgT = merged[1].unflatten(0, heads)
        sequence_T, order_T = _places(part, len(query_ThD))
        padded = -(-part.longest_query // _LSE_MULTIPLE) * _LSE_MULTIPLE
        state = torch.zeros((), dtype=torch.long, device=query_ThD.device)
        grad_query_TKgD = torch.empty_like(query_TKgD, memory_format=torch.contiguous_format)
        grad_key_SKD, grad_value_SKD = torch.zeros_like(key_SKD), torch.zeros_like(value_SKD)
        for number in range(query_TKgD.shape[2]):
            # a log-sum-exp of infinity gives every key of a padded query the weight 0
            lse_KPt = lse_KgT.new_full((len(lse_KgT), len(part.query_ends) - 1, padded), float("inf"))
            lse_KPt[:, sequence_T, order_T] = lse_KgT[:, number]
            grad_query, grad_key, grad_value, _ = torch.ops.aten._efficient_attention_backward(
                grad_TKgD[None, :, :, number].contiguous(), query_TKgD[None, :, :, number], key_SKD[None],
                value_SKD[None], None, found_TKgD[None, :, :, number].contiguous(), part.query_ends, part.key_ends,
                part.longest_query, part.longest_key, lse_KPt.transpose(0, 1).contiguous(), _NO_DROPOUT, state, state,
                int(part.causal), False, scale=scaling,
            )  # fmt: skip
            grad_query_TKgD[:, :, number] = grad_query[0]
            grad_key_SKD += grad_key[0]
            grad_value_SKD += grad_value[0]
        return grad_query_TKgD.flatten(1, 2), grad_key_SKD, grad_value_SKD


def _places(part: VarlenPart, num_tokens: int) -> tuple[Tensor, Tensor]:
    """Of every query its sequence and its place in that, (T,) each, without waiting for the device."""
    token_T = torch.arange(num_tokens, device=part.query_ends.device)
    sequence_T = torch.searchsorted(part.query_ends[1:], token_T, right=True)
    return sequence_T, token_T - part.query_ends[sequence_T]


class PlainKernel:
    """The kernels' results in plain steps with a mask (T, S): the reference of the tests, for any device."""

    @staticmethod
    def forward(query_ThD: Tensor, key_SKD: Tensor, value_SKD: Tensor, part: VarlenPart, scaling: float) -> Found:
        key_ShD, value_ShD = (_every_head(x, query_ThD) for x in (key_SKD, value_SKD))
        score_hTS = torch.einsum("thd,shd->hts", query_ThD, key_ShD) * scaling
        score_hTS = score_hTS.masked_fill(~_seen(part, len(query_ThD), len(key_SKD)), float("-inf"))
        return torch.einsum("hts,shd->thd", score_hTS.softmax(2), value_ShD), score_hTS.logsumexp(2)

    @staticmethod
    def backward(
        grad_ThD: Tensor,
        query_ThD: Tensor,
        key_SKD: Tensor,
        value_SKD: Tensor,
        merged: Found,
        part: VarlenPart,
        scaling: float,
    ) -> Grads:
        key_ShD, value_ShD = (_every_head(x, query_ThD) for x in (key_SKD, value_SKD))
        score_hTS = torch.einsum("thd,shd->hts", query_ThD, key_ShD) * scaling
        weight_hTS = (score_hTS - merged[1][..., None]).exp()
        weight_hTS = weight_hTS.masked_fill(~_seen(part, len(query_ThD), len(key_SKD)), 0.0)
        along_hT1 = (grad_ThD * merged[0]).sum(2).T[..., None]
        grad_score_hTS = weight_hTS * (torch.einsum("thd,shd->hts", grad_ThD, value_ShD) - along_hT1) * scaling
        shared = (key_SKD.shape[1], -1)
        return (
            torch.einsum("hts,shd->thd", grad_score_hTS, key_ShD),
            torch.einsum("hts,thd->shd", grad_score_hTS, query_ThD).unflatten(1, shared).sum(2),
            torch.einsum("hts,thd->shd", weight_hTS, grad_ThD).unflatten(1, shared).sum(2),
        )


def _every_head(x_SKD: Tensor, query_ThD: Tensor) -> Tensor:
    return x_SKD.repeat_interleave(query_ThD.shape[1] // x_SKD.shape[1], dim=1)


def _seen(part: VarlenPart, num_T: int, num_S: int) -> Tensor:
    """True where a query sees a key, (T, S): of its own sequence, and up to itself where causal."""
    sequence_T, order_T = _places(part, num_T)
    key_S = torch.arange(num_S, device=part.key_ends.device)
    sequence_S = torch.searchsorted(part.key_ends[1:], key_S, right=True)
    seen_TS = sequence_T[:, None] == sequence_S
    return seen_TS & (key_S - part.key_ends[sequence_S] <= order_T[:, None]) if part.causal else seen_TS


KERNELS: dict[str, type[VarlenKernel]] = {"flash": FlashKernel, "efficient": EfficientKernel}
