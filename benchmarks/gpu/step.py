"""A GRPO step's parts, in bfloat16 with random weights: seconds, memory, share of the peaks; the plan beside them."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.machine import limits
from benchmarks.gpu.parity import noise_clip
from benchmarks.gpu.sizes import Sizes, architecture_file, settle
from tvg_lightning.plan.architecture import Architecture, read_architecture
from tvg_lightning.plan.memory import phases
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.plan.work import GPU, decoding_seconds, step_work
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import VISION_TOKENS
from tvg_lightning.policy.flops import StepFlops
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.memory import peak_gib, start_peak
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt

PHASES = ("vision", "rollout", "loss", "backward", "update")


@dataclass(slots=True)
class Clock:
    """Seconds and peak memory by phase."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)
    gib: dict[str, float | None] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        settle(self.device)
        start_peak(self.device)
        start_s = time.perf_counter()
        yield
        settle(self.device)
        self.seconds[name], self.gib[name] = time.perf_counter() - start_s, peak_gib(self.device)


def step(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """The second of two steps, the naive way's loss and backward pass, and what the plan says."""
    plan = sizes.plan
    with tempfile.TemporaryDirectory() as folder:
        path = architecture_file(sizes.policy, Path(folder))
        torch.manual_seed(0)
        with torch.device(device):  # weights are drawn where they will be: much faster on a GPU
            policy = PolicyBackbone(PolicySettings(str(path), tuning=plan.tuning, dtype="bfloat16")).to(device)
        architecture = read_architecture(path, plan)
    policy.end_id = -1  # every completion is as long as it may be
    policy.suppressed_ids = policy.suppressed_ids[: len(VISION_TOKENS)]
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)
    _, num_h, num_w = plan.grid_thw
    prompt = policy.encode(Prompt("When does it spin?"), noise_clip(plan.frames, 14 * num_h, 14 * num_w))
    plan = replace(plan, text_tokens=len(prompt.input_ids) - plan.video_tokens)
    generation = GenerationSettings(max_new_tokens=plan.max_new_tokens)
    uniform_RT = torch.rand(plan.num_generations, plan.max_new_tokens)
    clock = Clock(device)
    for _ in range(2):
        with clock.phase("vision"):
            features = policy.video_features([prompt])
        with clock.phase("rollout"):
            (group,) = generate(policy, [prompt], features, plan.num_generations, generation, uniform_RT.to(device))
        ids = [one.token_ids for one in group]
        with clock.phase("loss"):
            logp_BGC, _ = policy.logp([prompt], [ids], features)
        with clock.phase("backward"):
            logp_BGC.mean().backward()
        del logp_BGC
        with clock.phase("update"):
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
    with clock.phase("naive loss and backward"):
        for one in ids:  # completion by completion, each with its prompt
            policy.logp([prompt], [[one]], features)[0].mean().div(len(ids)).backward()
    optimizer.zero_grad()
    return {
        "prompt_tokens": len(prompt.input_ids), "seconds": clock.seconds, "peak_gib": clock.gib,
        "packed_against_naive": clock.seconds["naive loss and backward"]
        / (clock.seconds["loss"] + clock.seconds["backward"]),
        **shares(sizes, plan, architecture, clock, policy.flops([prompt], [ids]), device),
    }  # fmt: skip


def shares(
    sizes: Sizes, plan: PlanSettings, architecture: Architecture, clock: Clock, flops: StepFlops, device: torch.device
) -> dict[str, Any]:
    """Shares of the measured limits that phases reach, and the plan's figures at these limits."""
    machine = limits(sizes, device)
    peak = machine["bfloat16_tflops"]
    gpu = GPU(peak_tflops=peak, memory_tb_per_s=machine["bandwidth_gb_per_s"] / 1e3)
    needed = {"vision": flops.vision, "loss": flops.loss, "backward": flops.backward}
    reached = {name: operations / clock.seconds[name] / (peak * 1e12) for name, operations in needed.items()}
    planned_s = {name: gpu.seconds(operations) for name, operations in asdict(step_work(architecture, plan)).items()}
    planned_s["decoding"] = max(planned_s["decoding"], decoding_seconds(architecture, plan, gpu))
    held = {name: phase.total / 2**30 for name, phase in phases(architecture, plan).items()}
    return {
        "share_of_matrix_peak": reached,
        # what every token must read at least, over the whole rollout, its prefill included
        "share_of_bandwidth_in_rollout": decoding_seconds(architecture, plan, gpu) / clock.seconds["rollout"],
        "new_tokens_per_s": plan.num_generations * plan.max_new_tokens / clock.seconds["rollout"],
        "planned_s": planned_s, "planned_gib": held,
    }  # fmt: skip
