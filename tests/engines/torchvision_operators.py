"""The two operators without which torchvision's wheel for CUDA cannot be imported beside a torch for CPUs.

vLLM imports torchvision with its models; nothing that runs here calls an operator of it. ``make install-vllm`` copies
this file into the site-packages of vLLM's environment, with a .pth file that imports it in every process.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_kept: list[object] = []  # operators last as long as their library


class _Finder(MetaPathFinder):
    """Defines the operators when torchvision is about to be imported, and leaves finding it to the others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision" and not _kept:
            import torch

            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _kept.append(library)
        return None


sys.meta_path.insert(0, _Finder())
