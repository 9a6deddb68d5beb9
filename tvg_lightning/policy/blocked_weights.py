"""Weights in blocks while a CPU decodes: the order in which oneDNN multiplies them with a few rows.

Decoding multiplies every matrix with a few rows a token, and waits for memory; of a matrix in blocks it waits less
(docs/performance.md).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.functional import linear

from tvg_lightning.policy.backbone import PolicyBackbone

Product = Callable[[Tensor], Tensor]  # of a matrix (O, I): (N, I) to (N, O)

# numbers of a matrix of a layer, and of a head; smaller ones stay in the caches, where the plain product is as fast
_LEAST_NUMBERS, _LEAST_NUMBERS_OF_HEAD = 2**16, 2**18
_ROWS = 8  # for which oneDNN chooses its blocks; it then multiplies any number of rows


@contextmanager
def in_blocks(policy: PolicyBackbone, head_VH: Tensor) -> Iterator[Product]:
    """Put the language model's large matrices into blocks for a while; yields the product with the head.

    They are moved, not copied, and come back bit for bit; of the head there is a copy, for it may be the embedding.
    Idle where oneDNN has no such product: on GPUs, for weights in 4 bits or in shards, in other types than float32 and
    bfloat16.
    """
    plain = partial(linear, weight=head_VH)
    if any(isinstance(module, FSDPModule) for module in policy.modules()):
        yield plain
        return
    with ExitStack() as stack:
        for module in policy.model.model.language_model.layers.modules():
            if type(module) is nn.Linear and _gains(module.weight, _LEAST_NUMBERS):
                stack.enter_context(_moved(module))
        yield partial(_product, _blocks(head_VH), None) if _gains(head_VH, _LEAST_NUMBERS_OF_HEAD) else plain


@contextmanager
def _moved(module: nn.Linear) -> Iterator[None]:
    blocks_OI = _blocks(module.weight)
    module.weight.data = module.weight.data.new_empty(0)
    module.forward = partial(_product, blocks_OI, module.bias)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward
        with torch.inference_mode(False):  # in which the trainer evaluates: its tensors can never be trained
            module.weight.data = blocks_OI.to_dense()


def _gains(weight_OI: Tensor, least_numbers: int) -> bool:
    if weight_OI.device.type != "cpu" or weight_OI.numel() < least_numbers or not torch.backends.mkldnn.is_available():
        return False
    if weight_OI.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight_OI.dtype == torch.float32


def _blocks(weight_OI: Tensor) -> Tensor:
    blocks_OI: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_OI.detach(), _ROWS)
    return blocks_OI


def _product(blocks_OI: Tensor, bias_O: Tensor | None, x_NI: Tensor) -> Tensor:
    x_NI = x_NI.to(blocks_OI.dtype)  # as autocast does with products that it knows
    found_NO: Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, blocks_OI, bias_O, "none", [], "")
    return found_NO
