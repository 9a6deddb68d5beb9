"""Changes to make where a step does not fit, with the peak that each would give."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tvg_lightning.plan.architecture import read_architecture
from tvg_lightning.plan.memory import fits, peak
from tvg_lightning.plan.settings import PlanSettings

_NO_VISION = {"train_vision_tower": False, "train_merger": False}  # adapters are put on the language model only
_SHARDED = {"strategy": "fsdp", "optimizer": "adamw"}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change, and the peaks in bytes: of it alone, and on top of all suggestions before it."""

    change: str
    alone: float
    together: float
    fits: bool  # together


def suggestions(config: Path, settings: PlanSettings) -> list[Suggestion]:
    """Changes that make the peak smaller, each on top of those before it, until the step fits.

    Those come first that change nothing of what is learned, then those that change rounding or how prompts are weighed,
    then those that change what is optimized, and the question last. precision bf16-true is not among them: weights in
    bfloat16 round small steps away.
    """
    found: list[Suggestion] = []
    changed, best = settings, planned_peak(config, settings)
    for change, values in _changes(settings):
        alone, candidate = _changed(settings, values), _changed(changed, values)
        if alone is None or candidate is None:
            continue
        together = planned_peak(config, candidate)
        if together < best:
            changed, best = candidate, together
            found.append(Suggestion(change, planned_peak(config, alone), best, fits(best, changed)))
            if found[-1].fits:
                break
    return found


def planned_peak(config: Path, settings: PlanSettings) -> float:
    return peak(read_architecture(config, settings), settings)


def _changed(settings: PlanSettings, values: dict[str, Any]) -> PlanSettings | None:
    """None where the change does not go with the rest, as 8-bit states with shards."""
    try:
        return replace(settings, **values)
    except ValueError:
        return None


def _changes(settings: PlanSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that could be changed, in words and as settings."""
    # what is learned stays the same
    yield "gradient_checkpointing", {"gradient_checkpointing": True}
    yield "logits_chunk 128", {"logits_chunk": min(128, settings.logits_chunk)}
    # other rounding, other means
    if settings.strategy == "ddp" and settings.gpus > 1:
        yield f"fsdp over the {settings.gpus} GPUs", _SHARDED
    if settings.precision == "32-true":
        yield "precision bf16-mixed: other rounding", {"precision": "bf16-mixed"}
    if settings.batch_size > 1:
        num_batches = settings.batch_size * settings.accumulate_grad_batches
        yield f"batch_size 1, {num_batches} batches added up", {"batch_size": 1, "accumulate_grad_batches": num_batches}
    yield "optimizer adamw_8bit: coarser states", {"optimizer": "adamw_8bit"}
    # another objective, more prompts an update, fewer weights
    yield "beta 0: no reference", {"reference": False}
    for gpus in (2 * settings.gpus, 4 * settings.gpus, 8 * settings.gpus):
        yield f"fsdp over {gpus} GPUs", _SHARDED | {"gpus": gpus}
    if settings.tuning == "full":
        yield "tuning lora", {"tuning": "lora", **_NO_VISION}
    yield "tuning qlora, whole on every GPU", {"tuning": "qlora", "strategy": "ddp", **_NO_VISION}
    # another question
    yield "half the frames", {"frames": max(2, settings.frames // 4 * 2)}
    yield "half the video tokens a frame", {"max_tokens": max(1, settings.max_tokens // 2)}
