"""A check of the plan: real steps on a CPU, their peaks of resident memory phase by phase, beside the planned ones.

``python -m benchmarks.plan_check`` prints a markdown table. Every case runs in a process of its own. Unless
``--default_malloc`` is given, the C library gets every block above 64 KiB from the system and gives it back at
once, so that what is resident is what is held; with it, the table shows what its usual reuse of blocks adds.
Likewise, unless ``--keep_kernels`` is given, oneDNN compiles its bfloat16 kernels anew for every call instead of
keeping one for each of the many shapes of a rollout: they are the CPU's, no part of a policy.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig

from tvg_lightning.data.video import VideoClip
from tvg_lightning.plan.architecture import config_file, read_architecture
from tvg_lightning.plan.memory import phases
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.memory import peak_gib, start_peak
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt

PHASES = ("rollout", "backward", "update")
_TINY, _MIDDLE, _QWEN3 = "tiny", "116 M", "Qwen3-VL, 133 M"
_SHORT = PlanSettings(device="cpu", precision="32-true", num_generations=4, max_new_tokens=48, frames=16)


@dataclass(frozen=True)
class Case:
    policy: str
    settings: PlanSettings

    @property
    def name(self) -> str:
        settings = self.settings
        how = [self.policy, settings.tuning, settings.precision]
        how += ["checkpointing"] if settings.gradient_checkpointing else []
        how += ["tower and merger trained"] if settings.train_vision_tower else []
        how += [f"{settings.frames} frames, {settings.num_generations} x {settings.max_new_tokens} tokens"]
        return ", ".join(how)


# the tiny policy gets a row long enough to be seen beside what the process holds anyway
_LONG = replace(_SHORT, frames=128, max_new_tokens=128, num_generations=8)
_MIXED = replace(_SHORT, precision="bf16-mixed")
CASES = [
    Case(_TINY, _LONG),
    Case(_TINY, replace(_LONG, gradient_checkpointing=True)),
    Case(_TINY, replace(_LONG, tuning="lora")),
    Case(_MIDDLE, _SHORT),
    Case(_MIDDLE, replace(_SHORT, gradient_checkpointing=True)),
    Case(_MIDDLE, replace(_SHORT, tuning="lora")),
    Case(_MIDDLE, replace(_SHORT, train_vision_tower=True, train_merger=True)),
    Case(_MIDDLE, replace(_SHORT, precision="bf16-true")),
    Case(_MIDDLE, replace(_SHORT, num_generations=16, max_new_tokens=72, logits_chunk=64, frames=4)),
    Case(_MIDDLE, replace(_MIXED, tuning="lora", gradient_checkpointing=True, frames=48)),
    Case(_MIDDLE, replace(_MIXED, tuning="lora", lora_rank=64, frames=24, num_generations=6)),
    Case(_MIDDLE, replace(_SHORT, precision="bf16-true", gradient_checkpointing=True, frames=32, max_new_tokens=96)),
    # as recipes have it
    Case(_MIDDLE, _MIXED),
    Case(_MIDDLE, replace(_MIXED, gradient_checkpointing=True, frames=32, max_new_tokens=96)),
    Case(_MIDDLE, replace(_MIXED, train_vision_tower=True, train_merger=True)),
    Case(_MIDDLE, replace(_MIXED, num_generations=16, max_new_tokens=72, logits_chunk=64, frames=4)),
    # norms of queries and keys, heads wider than their share, deepstack
    Case(_QWEN3, _SHORT),
    Case(_QWEN3, replace(_SHORT, tuning="lora")),
    Case(_QWEN3, replace(_SHORT, train_vision_tower=True, train_merger=True)),
    Case(_QWEN3, _MIXED),
    Case(_QWEN3, replace(_MIXED, train_vision_tower=True, train_merger=True)),
    Case(_QWEN3, replace(_MIXED, tuning="lora", lora_rank=64, frames=24, num_generations=6)),
]


@dataclass(frozen=True)
class Compared:
    """GiB beyond code and libraries, by phase."""

    measured: dict[str, float]
    planned: dict[str, float]

    @property
    def off(self) -> float:
        """The share by which the plan's peak is above the measured one; negative where it is below."""
        return max(self.planned.values()) / max(self.measured.values()) - 1


def middle_config() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL with 116 M parameters; the packaged tokenizer knows 1,024 of its 16,384 tokens."""
    config = Qwen2_5_VLConfig.from_pretrained(config_file("tiny").parent)
    text, vision = config.text_config, config.vision_config
    text.vocab_size, text.hidden_size, text.intermediate_size, text.num_hidden_layers = 16384, 768, 2304, 12
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    text.num_attention_heads, text.num_key_value_heads = 12, 2
    text.rope_parameters["mrope_section"] = [8, 12, 12]
    vision.depth, vision.hidden_size, vision.intermediate_size, vision.num_heads = 6, 512, 1408, 8
    vision.fullatt_block_indexes, vision.window_size, vision.out_hidden_size = [2, 5], 112, text.hidden_size
    return config


def qwen3_config() -> Qwen3VLConfig:
    """Qwen3-VL of about the same size; the tower's three levels of deepstack have mergers of their own."""
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [16, 16, 16], "mrope_interleaved": True}
    packaged = Qwen2_5_VLConfig.from_pretrained(config_file("tiny").parent)
    ids = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    return Qwen3VLConfig(
        text_config={
            "vocab_size": 16384, "hidden_size": 768, "intermediate_size": 2304, "num_hidden_layers": 12,
            "num_attention_heads": 12, "num_key_value_heads": 2, "head_dim": 96, "rope_parameters": rope,
            "bos_token_id": None, "eos_token_id": packaged.text_config.eos_token_id, "pad_token_id": 0,
        },
        vision_config={
            "depth": 6, "hidden_size": 512, "intermediate_size": 1408, "num_heads": 8, "out_hidden_size": 768,
            "num_position_embeddings": 256, "deepstack_visual_indexes": [1, 3, 5],
        },
        tie_word_embeddings=True,
        **{key: getattr(packaged, key) for key in ids},
    )  # fmt: skip


CONFIGS = {_MIDDLE: middle_config, _QWEN3: qwen3_config}


def measure(case: Case, config: Path) -> tuple[dict[str, float], PlanSettings]:
    """Resident GiB at the peak of every phase of a second step, when the optimizer has its states.

    Without the video itself, which with a GPU lies in the host's memory.
    """
    device, settings = torch.device("cpu"), case.settings
    policy = PolicyBackbone(
        PolicySettings(
            str(config),
            tuning=settings.tuning,
            train_vision_tower=settings.train_vision_tower,
            train_merger=settings.train_merger,
            gradient_checkpointing=settings.gradient_checkpointing,
            dtype=settings.weight_dtype,
            lora_rank=settings.lora_rank,
            logits_chunk=settings.logits_chunk,
        )
    )
    # as Lightning opens it
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=settings.autocasts, cache_enabled=False)
    policy.end_id = -1  # every completion is as long as it may be
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], fused=False)
    reference = policy.trainable_weights()
    settings, patch = replace(settings, side=policy.side), policy.family.geometry.patch
    num_t, num_h, num_w = settings.grid_thw
    frames = torch.randint(0, 256, (2 * num_t, patch * num_h, patch * num_w, 3), dtype=torch.uint8)
    prompt = policy.encode(Prompt("When?"), VideoClip(frames, (0.0,) * len(frames), 2.0, "noise"))
    del frames
    generation = GenerationSettings(max_new_tokens=settings.max_new_tokens)
    uniform_RT = torch.rand(settings.num_generations, settings.max_new_tokens)
    measured: dict[str, float] = {}
    for _ in range(2):
        start_peak(device)
        with mixed:
            features = policy.video_features([prompt])
            groups = generate(policy, [prompt], features, settings.num_generations, generation, uniform_RT)
        measured["rollout"] = peak_gib(device) or 0.0
        start_peak(device)
        with mixed:
            logp_BGC, _ = policy.logp([prompt], [[c.token_ids for c in groups[0]]], features)
        logp_BGC.mean().backward()
        measured["backward"] = peak_gib(device) or 0.0
        del logp_BGC, features
        start_peak(device)
        optimizer.step()
        measured["update"] = peak_gib(device) or 0.0
        optimizer.zero_grad()
    del reference
    measured = {phase: gib - prompt.patches.nbytes / 2**30 for phase, gib in measured.items()}
    return measured, replace(settings, text_tokens=len(prompt.input_ids) - settings.video_tokens)


def compare(case: Case, config: Path) -> Compared:
    """A case in this process, above what it holds after a very small step of the same kind has loaded all the code."""
    small = replace(case.settings, num_generations=2, max_new_tokens=2, frames=2, max_tokens=1)
    measure(Case(_TINY, small), config_file(_TINY))
    gc.collect()
    start_peak(torch.device("cpu"))
    before_gib = peak_gib(torch.device("cpu"))
    assert before_gib is not None, "peaks are read from Linux's /proc"
    measured, settings = measure(case, config)
    found = {name: held.total / 2**30 for name, held in phases(read_architecture(config, settings), settings).items()}
    backward = max(found["backward begins"], found["backward ends"])
    planned = {"rollout": found["rollout"], "backward": backward, "update": found["update"]}
    return Compared({phase: gib - before_gib for phase, gib in measured.items()}, planned)


_THRIFTY_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_NO_KERNELS_KEPT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0", "LRU_CACHE_CAPACITY": "1"}  # oneDNN's store, and PyTorch's


def compare_apart(index: int, default_malloc: bool = False, keep_kernels: bool = False) -> Compared:
    """``compare`` of a case in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    environment |= ({} if default_malloc else _THRIFTY_MALLOC) | ({} if keep_kernels else _NO_KERNELS_KEPT)
    command = [sys.executable, "-m", "benchmarks.plan_check", "--case", str(index)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return Compared(**json.loads(run.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--default_malloc", action="store_true", help="the C library as it comes")
    parser.add_argument("--keep_kernels", action="store_true", help="oneDNN as it comes")
    parser.add_argument("--case", type=int, help="one case in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.case is not None:
        case = CASES[arguments.case]
        with tempfile.TemporaryDirectory() as folder:
            config = config_file("tiny")
            if case.policy != _TINY:
                config = Path(folder) / "middle.json"
                config.write_text(CONFIGS[case.policy]().to_json_string(use_diff=False), encoding="utf-8")
            print(json.dumps(asdict(compare(case, config))))
        return
    print("| case | " + " | ".join(f"{phase}: measured, planned" for phase in PHASES) + " | plan's peak |")
    print("|---|---|---|---|---|")
    for index, case in enumerate(CASES):
        found = compare_apart(index, arguments.default_malloc, arguments.keep_kernels)
        cells = [f"{found.measured[p]:.3f}, {found.planned[p]:.3f}" for p in PHASES]
        print(f"| {case.name} | {' | '.join(cells)} | {found.off:+.1%} |", flush=True)


if __name__ == "__main__":
    main()
