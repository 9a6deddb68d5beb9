"""The sizes of the run: Qwen2.5-VL-3B's on a GPU, and a small one that goes the same way on a CPU."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tvg_lightning.plan.architecture import config_file
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.settings import Tuning

_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What one step works on. The plan's settings are its only description."""

    policy: str
    plan: PlanSettings
    matrix: int  # side of the products that measure the peak
    copied_mib: int  # of the copy that measures the memory's bandwidth
    row: tuple[int, list[int]]  # prompt and completions of the attention that is checked

    def tuned(self, tuning: Tuning) -> "Sizes":
        return replace(self, plan=replace(self.plan, tuning=tuning))


# 64 pairs of frames, 128 tokens each, as the model reads them
FULL = Sizes(
    "qwen2_5_vl_3b",
    PlanSettings(precision="bf16-true", frames=128, num_generations=8, max_new_tokens=512, reference=False),
    8192, 2048, (1500, [300, 17, 512, 64]),
)  # fmt: skip
SMALL = Sizes(
    "tiny",
    PlanSettings(
        precision="bf16-true", frames=8, max_tokens=1, num_generations=2, max_new_tokens=4, reference=False,
        device="cpu",
    ),
    256, 8, (40, [9, 3, 30]),
)  # fmt: skip


def sizes(small: bool) -> Sizes:
    return SMALL if small else FULL


def architecture_file(policy: str, folder: Path) -> Path:
    """A config.json in which the vision tokens are the packaged tokenizer's, the only one at hand without a network."""
    found = json.loads(config_file(policy).read_text(encoding="utf-8"))
    tiny = json.loads(config_file("tiny").read_text(encoding="utf-8"))
    path = folder / f"{policy}.json"
    path.write_text(json.dumps(found | {name: tiny[name] for name in _IDS}), encoding="utf-8")
    return path


def settle(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
