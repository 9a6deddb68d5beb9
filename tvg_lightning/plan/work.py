"""The operations of a step, by phase, and how long they take at a given share of a GPU's peak."""

from dataclasses import asdict, dataclass

from tvg_lightning.plan import activations
from tvg_lightning.plan.architecture import Architecture
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.flops import StepFlops, step_flops


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of one GPU in one step, two a multiply-add."""

    vision: float
    prefill: float
    decoding: float
    loss_forward: float  # with the passes of the reference and of frame_dependence, where there are any
    backward: float  # twice a forward pass, or once where only adapters are trained
    recompute: float  # one more forward pass with gradient checkpointing

    @property
    def total(self) -> float:
        return float(sum(asdict(self).values()))


@dataclass(frozen=True, slots=True)
class GPU:
    """Speed of a GPU; the defaults are an H100's, bfloat16 without sparsity. mfu: the share that is reached."""

    peak_tflops: float = 989.0
    memory_tb_per_s: float = 3.35
    mfu: float = 0.4

    def __post_init__(self) -> None:
        if not (self.peak_tflops > 0 and self.memory_tb_per_s > 0):
            raise ValueError("--peak_tflops and --memory_tb_per_s must be positive")
        if not 0 < self.mfu <= 1:
            raise ValueError(f"--mfu must lie in (0, 1], not {self.mfu}")

    def seconds(self, operations: float) -> float:
        """
        >>> GPU(peak_tflops=100.0, mfu=0.5).seconds(1e14)
        2.0
        """
        return operations / (self.peak_tflops * 1e12 * self.mfu)


def step_work(architecture: Architecture, settings: PlanSettings) -> Work:
    """Every completion as long as it may be, one update on a rollout; the loss over the rows that are learned from."""
    vision = settings.batch_size * architecture.family.tower_flops(architecture.vision, settings.grid_thw)
    num_forwards = 2 if settings.reference else 1
    sampled = _together(architecture, settings, settings.num_generations, vision)
    learned = _together(architecture, settings, settings.loss_rows, vision, num_forwards)
    recompute = learned.loss / num_forwards if settings.gradient_checkpointing else 0.0
    if settings.gradient_checkpointing and settings.train_vision_tower:
        recompute += vision
    measured = sampled.loss + _shuffled(architecture, settings) if settings.frame_dependence else 0.0
    return Work(vision, sampled.prefill, sampled.decode, learned.loss + measured, learned.backward, recompute)


def _together(
    architecture: Architecture, settings: PlanSettings, num_rows: int, vision: float, num_forwards: int = 1
) -> StepFlops:
    """A step on every prompt with so many rows behind it."""
    return step_flops(
        architecture.text,
        vision,
        [settings.prompt_tokens] * settings.batch_size,
        [[settings.max_new_tokens] * num_rows] * settings.batch_size,
        settings.tuning,
        settings.train_vision_tower,
        num_forwards=num_forwards,
    )


def _shuffled(architecture: Architecture, settings: PlanSettings) -> float:
    """A forward pass over every completion with a prompt of its own, for each sees other features."""
    num = settings.batch_size * settings.num_generations
    prompts, completions = [settings.prompt_tokens] * num, [[settings.max_new_tokens]] * num
    return step_flops(architecture.text, 0.0, prompts, completions, settings.tuning).loss


def decoding_seconds(architecture: Architecture, settings: PlanSettings, gpu: GPU) -> float:
    """The least that decoding takes at full memory speed: each token reads all weights, and the rows' keys and values.

    max_new_tokens * (weights + keys and values, on average half written) / bandwidth. A prompt's keys are read
    once a token for all of its completions.
    """
    e = settings.compute_bytes
    width = activations.key_value_width(architecture.text) * architecture.text.num_hidden_layers * e
    kept = settings.batch_size * (settings.prompt_tokens + settings.num_generations * settings.max_new_tokens / 2)
    read_bytes = architecture.weight_bytes(e) + width * kept
    return settings.max_new_tokens * read_bytes / (gpu.memory_tb_per_s * 1e12)
