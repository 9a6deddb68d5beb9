"""A decoding step whose launches a GPU repeats by itself: captured once as a CUDA graph, then replayed for every token.

A step of a large model is hundreds of small kernels, and launching them takes longer than running them. A graph needs
the same shapes and the same memory in every step (``kv_cache.DecodeAttention`` with ``is_static``). Not run on a GPU
yet; without a graph the same step is tested on a CPU. Shape suffixes: R rows, V vocabulary.
"""

import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from tvg_lightning.policy.backbone import PolicyBackbone

Step = Callable[[Tensor, Tensor], Tensor]  # tokens (R,) and their positions (R,) to the logits after them (R, V)
_LOG = logging.getLogger(__name__)


def can_capture(policy: PolicyBackbone) -> bool:
    """True on NVIDIA's GPUs, for weights that are neither in 4 bits nor in shards: those have steps of their own."""
    if policy.device.type != "cuda" or torch.version.hip is not None or policy.settings.tuning == "qlora":
        return False
    return not any(isinstance(module, FSDPModule) for module in policy.modules())


class CapturedStep:
    """A step with memory of its own for what goes in and out; the logits hold until the next step."""

    def __init__(self, step: Step) -> None:
        self.plain = step
        self._shape: Hashable = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, shape: Hashable, token_R: Tensor, position_R: Tensor) -> Tensor:
        """The logits after these tokens (R, V). ``shape``: the step is captured anew where it is another one."""
        if shape != self._shape:
            self._shape, self._graph = shape, None
            self._token_R, self._position_R = token_R.clone(), position_R.clone()
            if token_R.device.type == "cuda":
                self._capture()
        self._token_R.copy_(token_R)
        self._position_R.copy_(position_R)
        if self._graph is None:
            return self.plain(self._token_R, self._position_R)
        self._graph.replay()
        return self._logits_RV

    def _capture(self) -> None:
        """Once as it is, for what libraries set up at their first call, and once for the graph: it writes the same."""
        device, graph = self._token_R.device, torch.cuda.CUDAGraph()
        side, now = torch.cuda.Stream(device), torch.cuda.current_stream(device)
        kind = device.type
        # a cast that autocast kept from outside would be read after it is gone
        casting = torch.autocast(
            kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        )
        side.wait_stream(now)
        with casting, torch.cuda.stream(side):
            self.plain(self._token_R, self._position_R)
        now.wait_stream(side)
        try:
            # on leaving, the stream of before is back, which a graph whose capture fails does not see to
            with torch.cuda.stream(now), casting, torch.cuda.graph(graph):
                self._logits_RV = self.plain(self._token_R, self._position_R)
        except RuntimeError as error:
            _LOG.warning("decoding goes on without a CUDA graph, which is slower: %s", error)
            return
        self._graph = graph
