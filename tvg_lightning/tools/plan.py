"""``python -m tvg_lightning plan``: what a step needs, before anything is rented."""

import sys
from dataclasses import asdict, replace
from json import dumps

from tvg_lightning.data.video import FrameSettings
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.plan.advice import Suggestion, suggestions
from tvg_lightning.plan.architecture import config_file, read_architecture
from tvg_lightning.plan.memory import Held, fits, phases
from tvg_lightning.plan.settings import PlannedOptimizer, PlanSettings, Precision, Strategy
from tvg_lightning.plan.work import GPU, Work, decoding_seconds, step_work
from tvg_lightning.policy.settings import Tuning

_GIB = 2**30


def main(
    policy: str = "qwen2_5_vl_7b", tuning: Tuning = "full", strategy: Strategy = "single", gpus: int = 1,
    gpu_memory_gib: float = 79.0, headroom: float = 0.1, batch_size: int = 1, num_generations: int = 8,
    max_new_tokens: int = 512, text_tokens: int = 300, frames: int = 128, max_tokens: int = 128,
    precision: Precision = "bf16-mixed", optimizer: PlannedOptimizer = "adamw", gradient_checkpointing: bool = False,
    train_vision_tower: bool = False, train_merger: bool = False, lora_rank: int = 16, logits_chunk: int = 512,
    accumulate_grad_batches: int = 1, beta: float = 0.04, frame_dependence: bool = False, oracle: bool = False,
    prune: float = OracleSettings.prune, time_as_text: bool = False, fps: float = FrameSettings.fps, mfu: float = 0.4,
    peak_tflops: float = 989.0, memory_tb_per_s: float = 3.35, json: bool = False,
) -> None:  # fmt: skip
    """Memory a GPU needs for a GRPO step, phase by phase, whether it fits, what to change if not, and the time.

    Args:
        policy: tiny, a name in tvg_lightning/policy/architectures, or a folder with a config.json.
        tuning: weights that are trained: all of the language model, adapters, or adapters over weights of 4 bits.
        strategy: one GPU alone, copies of the policy on several (ddp), or shards of it (fsdp).
        gpus: GPUs of all machines together.
        gpu_memory_gib: memory of one GPU, in GiB; cards of 80 GB have 79.
        headroom: share of that memory to leave free.
        batch_size: prompts of a step on each GPU.
        num_generations: completions of each prompt.
        max_new_tokens: tokens of a completion; all are taken to be so long.
        text_tokens: tokens of a prompt beside its video.
        frames: frames of a video.
        max_tokens: video tokens of a frame, which are those of its pair.
        precision: that of trainer.precision; bf16-mixed is float32 weights and bfloat16 products.
        optimizer: AdamW with states in 32 bits or in 8.
        gradient_checkpointing: activations are computed again and not kept (policy.gradient_checkpointing).
        train_vision_tower: the vision tower is trained, too (policy.train_vision_tower).
        train_merger: the merger is trained, too (policy.train_merger).
        lora_rank: the rank of the adapters, for lora and qlora (policy.lora_rank).
        logits_chunk: completion tokens whose logits exist at one time (policy.logits_chunk).
        accumulate_grad_batches: batches of an update (the trainer's); with more than 1, gradients wait through
            rollouts.
        beta: weight of the KL; above 0 a reference is kept.
        frame_dependence: the reward of this name counts; it costs time, and no memory beyond the loss's.
        oracle: the annotation is one more row of every group (grpo.oracle); it needs --beta 0.
        prune: with --oracle, the share of the rows of a group that the loss leaves out (grpo.oracle.prune).
        time_as_text: times are written into the prompt (data.time_as_text), which has more tokens then.
        fps: frames a second, from which the times follow that are written as text.
        mfu: share of the peak speed that is reached.
        peak_tflops: peak speed of one GPU, in units of 1e12 operations a second; 989 is an H100 in bfloat16.
        memory_tb_per_s: memory bandwidth of one GPU, in TB a second; 3.35 is an H100.
        json: print everything as one JSON object, in bytes, operations and seconds.
    """
    if not 0 <= beta < float("inf"):
        raise ValueError(f"--beta must be at least 0, not {beta}")
    settings = PlanSettings(
        tuning, strategy, gpus, gpu_memory_gib, headroom, batch_size, num_generations, max_new_tokens, text_tokens,
        frames, max_tokens, precision, optimizer, gradient_checkpointing, train_vision_tower, train_merger,
        lora_rank=lora_rank, logits_chunk=logits_chunk, accumulate_grad_batches=accumulate_grad_batches,
        reference=beta > 0, frame_dependence=frame_dependence, oracle=OracleSettings(prune) if oracle else None,
        time_as_text=time_as_text, fps=fps,
    )  # fmt: skip
    report(policy, settings, GPU(peak_tflops, memory_tb_per_s, mfu), json)


def report(policy: str, settings: PlanSettings, gpu: GPU, as_json: bool) -> None:
    """Plan, and write it down."""
    config = config_file(policy)
    architecture = read_architecture(config, settings)
    settings = replace(settings, side=architecture.side, video_text=architecture.family.video_text)
    held, work = phases(architecture, settings), step_work(architecture, settings)
    peak = max(phase.total for phase in held.values())
    is_enough = fits(peak, settings)
    advice = [] if is_enough else suggestions(config, settings)
    seconds = {name: gpu.seconds(operations) for name, operations in asdict(work).items()}
    seconds["decoding"] = max(seconds["decoding"], decoding_seconds(architecture, settings, gpu))
    if as_json:
        found = {
            "parameters": architecture.total,
            "trained": architecture.trained,
            "prompt_tokens": settings.prompt_tokens,
            "row_tokens": settings.row_tokens,
            "phases": {name: {**asdict(phase), "total": phase.total} for name, phase in held.items()},
            "peak": peak,
            "fits": is_enough,
            "suggestions": [asdict(suggestion) for suggestion in advice],
            "operations": asdict(work),
            "seconds": seconds,
        }
        sys.stdout.write(dumps(found) + "\n")
        return
    sys.stdout.write(
        f"{policy}: {architecture.total:,} parameters, {architecture.trained:,} trained; a prompt has "
        f"{settings.prompt_tokens:,} tokens ({settings.video_tokens:,} of the video), the loss's row "
        f"{settings.row_tokens:,}\n\n{memory_table(held)}\n\n{verdict(peak, is_enough, settings, advice)}\n\n"
        f"{time_table(work, seconds)}\n"
    )


def memory_table(held: dict[str, Held]) -> str:
    """GiB a GPU: a row for each part, a column for each phase."""
    lines = [f"{'GiB a GPU':<14}" + "".join(f"{name:>17}" for name in held)]
    columns = [{**asdict(phase), "total": phase.total} for phase in held.values()]
    lines += [f"{part:<14}" + "".join(f"{column[part] / _GIB:>17.2f}" for column in columns) for part in columns[0]]
    return "\n".join(lines)


def verdict(peak: float, is_enough: bool, settings: PlanSettings, advice: list[Suggestion]) -> str:
    """A text on whether the step fits, and what to change if not."""
    room = f"{settings.gpu_memory_gib:g} GiB with {settings.headroom:.0%} left free"
    if is_enough:
        return f"It fits: {peak / _GIB:.1f} GiB in {room}."
    lines = [f"It does not fit: {peak / _GIB:.1f} GiB in {room}. To change, in this order (GiB alone, together):"]
    lines += [f"  {s.change:<38}{s.alone / _GIB:>8.1f}{s.together / _GIB:>8.1f}" for s in advice]
    lines.append("  That fits." if advice and advice[-1].fits else "  All of this is not enough.")
    return "\n".join(lines)


def time_table(work: Work, seconds: dict[str, float]) -> str:
    """Operations and seconds of every phase of a step."""
    lines = [f"{'a step, a GPU':<14}{'TFLOP':>12}{'s':>10}"]
    lines += [f"{name:<14}{flops / 1e12:>12.1f}{seconds[name]:>10.2f}" for name, flops in asdict(work).items()]
    lines.append(f"{'total':<14}{work.total / 1e12:>12.1f}{sum(seconds.values()):>10.2f}")
    lines.append("Decoding takes at least the time of reading weights and keys from memory for every token.")
    return "\n".join(lines)
