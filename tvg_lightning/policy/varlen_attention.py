"""Split attention on GPUs, through PyTorch's own kernels for sequences of various lengths in one row.

The row's order makes every part a run of sequences: prompts over themselves, all completions of a prompt over that
prompt, completions over themselves. So a part is a slice of the row and the ends of its sequences: nothing is padded,
copied or looped over, the keys of a prompt are read where they lie, whatever the number of completions. Parts are
merged by their log-sum-exps, and shares of gradients are added, in float32.

Errors against float64 for numbers of a normal distribution, as a share of the largest number, results and gradients:
float32 below 1e-4, bfloat16 below 1e-2 (it keeps 8 bits: 4e-3 for one rounding). ``python -m benchmarks.gpu`` checks
them on the device; the kernels themselves have not been run yet. What surrounds them is tested on a CPU, with
``varlen_kernels.PlainKernel`` in their place.

Shape suffixes: N tokens of a row, T of them as queries, S as keys; h query heads, K key heads, g query heads of each,
D head dimension; P sequences of a part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from tvg_lightning.policy.attention import merge

Found = tuple[Tensor, Tensor]  # (T, h, D), and the log-sum-exp (h, T), float32
Grads = tuple[Tensor, Tensor, Tensor]  # of query (T, h, D), key and value (S, K, D)
KernelName = Literal["flash", "efficient", "flex", "loop"]


@dataclass(frozen=True, slots=True)
class VarlenPart:
    """Sequences of queries that lie one behind the other in a row, and those of the keys that they see."""

    queries: slice
    keys: slice
    query_ends: Tensor  # (P + 1,) int32, from 0, on the device
    key_ends: Tensor
    longest_query: int
    longest_key: int
    causal: bool
    adds: bool = False  # to what another part has found for the same queries


def varlen_parts(
    prompts: Sequence[slice], answers: Sequence[slice], completions: Sequence[slice], device: torch.device
) -> tuple[VarlenPart, ...]:
    """The parts of a row. ``answers``: all completions of each prompt together; empty while there are none.

    >>> parts = varlen_parts([slice(0, 5), slice(5, 8)], [slice(8, 11), slice(11, 14)],
    ...                      [slice(8, 10), slice(10, 11), slice(11, 12), slice(12, 14)], torch.device("cpu"))
    >>> [(part.queries.start, part.queries.stop, part.query_ends.tolist()) for part in parts]
    [(0, 8, [0, 5, 8]), (8, 14, [0, 3, 6]), (8, 14, [0, 2, 3, 4, 6])]
    >>> [(part.keys.start, part.keys.stop, part.key_ends.tolist()) for part in parts]
    [(0, 8, [0, 5, 8]), (0, 8, [0, 5, 8]), (8, 14, [0, 2, 3, 4, 6])]
    """
    prompt, prompt_ends, longest_prompt = _run(prompts, device)
    parts = [VarlenPart(prompt, prompt, prompt_ends, prompt_ends, longest_prompt, longest_prompt, causal=True)]
    if completions:
        own, answer_ends, longest_answer = _run(answers, device)
        parts.append(VarlenPart(own, prompt, answer_ends, prompt_ends, longest_answer, longest_prompt, causal=False))
        own, ends, longest = _run(completions, device)
        parts.append(VarlenPart(own, own, ends, ends, longest, longest, causal=True, adds=True))
    return tuple(parts)


def _run(sequences: Sequence[slice], device: torch.device) -> tuple[slice, Tensor, int]:
    """The slice of sequences that follow each other, their ends from there, and the longest one's length."""
    lengths = [sequence.stop - sequence.start for sequence in sequences]
    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(device)
    return slice(sequences[0].start, sequences[-1].stop), ends, max(lengths)


class VarlenKernel(Protocol):
    """Attention of one part, and its share of the gradients."""

    @staticmethod
    def forward(query_ThD: Tensor, key_SKD: Tensor, value_SKD: Tensor, part: VarlenPart, scaling: float) -> Found: ...

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
        """The share of these keys, ``merged`` being the result over ALL keys (see ``attention.attend_backward``)."""


def kernel_name(dtype: torch.dtype, head_dim: int, capability: tuple[int, int], has_flash: bool) -> KernelName:
    """The way to attend on a CUDA device of a compute capability; ``has_flash``: PyTorch was built with that kernel.

    flash: 16 bits only. efficient: float32 (by three products of its leading and trailing bits, so without the loss of
    TF32), and 16 bits where there is no flash kernel. flex: FlexAttention, compiled, for other head dimensions. loop:
    ``split_attention.repeated_attention``.

    >>> kernel_name(torch.bfloat16, 128, (9, 0), True), kernel_name(torch.float32, 128, (9, 0), True)
    ('flash', 'efficient')
    >>> kernel_name(torch.bfloat16, 20, (9, 0), True), kernel_name(torch.float64, 128, (9, 0), True)
    ('flex', 'loop')
    """
    if dtype == torch.float64 or capability < (7, 0):
        return "loop"
    is_half, is_whole = dtype in (torch.bfloat16, torch.float16), head_dim % 8 == 0
    if is_half and is_whole and head_dim <= 192 and capability >= (8, 0) and has_flash:
        return "flash"
    if is_whole and (dtype != torch.bfloat16 or capability >= (8, 0)):
        return "efficient"
    return "flex"


def kernel_here(query_KNgD: Tensor) -> KernelName:
    """``kernel_name`` for a tensor on its device; "loop" where that is no CUDA device."""
    if query_KNgD.device.type != "cuda":
        return "loop"
    if torch.version.hip is not None:
        return "flex"  # AMD's kernels lay the log-sum-exp out in another way
    capability = torch.cuda.get_device_capability(query_KNgD.device)
    has_flash = torch.backends.cuda.is_flash_attention_available()
    return kernel_name(query_KNgD.dtype, query_KNgD.shape[3], capability, has_flash)


def varlen_attention(
    query_KNgD: Tensor,
    key_KND: Tensor,
    value_KND: Tensor,
    parts: tuple[VarlenPart, ...],
    scaling: float,
    kernel: type[VarlenKernel],
) -> Tensor:
    """Split attention of a row (K, N, g, D) by one kernel, with gradients."""
    query_NhD = query_KNgD.transpose(0, 1).flatten(1, 2)  # a view, as the projections lay it out
    found_NhD: Tensor = _VarlenAttention.apply(
        query_NhD, key_KND.transpose(0, 1), value_KND.transpose(0, 1), parts, scaling, kernel
    )
    return found_NhD.unflatten(1, query_KNgD.shape[::2]).transpose(0, 1)


class _VarlenAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_NhD: Tensor,
        key_NKD: Tensor,
        value_NKD: Tensor,
        parts: tuple[VarlenPart, ...],
        scaling: float,
        kernel: type[VarlenKernel],
    ) -> Tensor:
        found_NhD = torch.empty_like(query_NhD, memory_format=torch.contiguous_format)
        exact = torch.promote_types(query_NhD.dtype, torch.float32)
        lse_hN = torch.empty(query_NhD.shape[1::-1], dtype=exact, device=query_NhD.device)
        for part in parts:
            rows, keys = part.queries, part.keys
            found, lse_hT = kernel.forward(query_NhD[rows], key_NKD[keys], value_NKD[keys], part, scaling)
            lse_Th = lse_hT.T
            if part.adds:
                found, lse_Th = merge((found_NhD[rows], lse_hN[:, rows].T), (found, lse_Th))
            found_NhD[rows] = found
            lse_hN[:, rows] = lse_Th.T
        ctx.save_for_backward(query_NhD, key_NKD, value_NKD, found_NhD, lse_hN)
        ctx.parts, ctx.scaling, ctx.kernel = parts, scaling, kernel
        return found_NhD

    @staticmethod
    def backward(ctx: Any, grad_NhD: Tensor) -> tuple[Tensor | None, ...]:
        query_NhD, key_NKD, value_NKD, found_NhD, lse_hN = ctx.saved_tensors
        inputs = (query_NhD, key_NKD, value_NKD)
        sums = [torch.zeros(x.shape, dtype=lse_hN.dtype, device=x.device) for x in inputs]
        for part in ctx.parts:
            rows, keys = part.queries, part.keys
            shares = ctx.kernel.backward(
                grad_NhD[rows], query_NhD[rows], key_NKD[keys], value_NKD[keys],
                (found_NhD[rows], lse_hN[:, rows].contiguous()), part, ctx.scaling,
            )  # fmt: skip
            for total, place, share in zip(sums, (rows, keys, keys), shares, strict=True):
                total[place] += share
        return *(total.to(x.dtype) for total, x in zip(sums, inputs, strict=True)), None, None, None
