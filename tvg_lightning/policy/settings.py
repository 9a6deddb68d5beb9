"""Settings of the policy; impossible ones are refused before any weight loads."""

import math
from dataclasses import dataclass
from typing import Literal

Tuning = Literal["full", "lora", "qlora"]
DType = Literal["float32", "bfloat16"]
Attention = Literal["split", "dense"]


@dataclass(frozen=True)
class PolicySettings:
    """The policy's weights, which of them are trained, and at what cost in memory.

    Args:
        checkpoint: tiny or tiny_qwen3_vl (the policies that come with this package), or a folder or hub name of any
            checkpoint of a known family (``policy/families/known.py``).
        tuning: full trains the language model, lora trains adapters on it, qlora does so over weights of 4 bits.
        train_vision_tower: the vision tower is trained, too. With tuning full only: adapters never touch the vision
            side.
        train_merger: the merger is trained, too, or all of them, where there are several. With tuning full only.
        lora_rank: the rank of the adapters, for lora and qlora.
        lora_alpha: the adapters' output is multiplied by lora_alpha / lora_rank.
        gradient_checkpointing: activations are computed again in the backward pass and not kept: slower, in less
            memory.
        attention: split never pays for what completions of a prompt cannot see of each other; dense is the same
            through a mask as large as the row squared, for comparison.
        dtype: number format of the weights; trainer.precision is that of the computation.
        cpu_offload: where the policy is sharded (trainer.strategy fsdp), shards wait in main memory.
        logits_chunk: completion tokens whose logits exist at one time; fewer take less memory.
        seed: seed of fresh adapters.
        thinking: prompts end with <think> and a new line, so that a completion begins inside its thought (default: as
            the checkpoint's chat template has it).
    """

    checkpoint: str = "tiny"
    tuning: Tuning = "full"
    train_vision_tower: bool = False
    train_merger: bool = False
    lora_rank: int = 16
    lora_alpha: int = 32
    gradient_checkpointing: bool = False
    attention: Attention = "split"
    dtype: DType = "float32"
    cpu_offload: bool = False
    logits_chunk: int = 512
    seed: int = 0
    thinking: bool | None = None

    @property
    def trains_vision(self) -> bool:
        """True where tower or merger are trained, so that the features of a video change with every update."""
        return self.train_vision_tower or self.train_merger

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError('policy.checkpoint is empty: give "tiny", a folder, or a hub name')
        if self.tuning != "full" and self.trains_vision:
            raise ValueError(
                f"policy.train_vision_tower and policy.train_merger need policy.tuning full, not {self.tuning}: "
                "adapters are put on the language model only"
            )
        for name in ("lora_rank", "lora_alpha", "logits_chunk"):
            if (value := self.__dict__[name]) < 1:
                raise ValueError(f"policy.{name} must be at least 1, not {value}")


@dataclass(frozen=True)
class GenerationSettings:
    """The way in which completions are sampled.

    Args:
        max_new_tokens: tokens of a completion, at most, its end token among them.
        temperature: logits are divided by it before a token is drawn; 0 is greedy decoding.
        top_p: tokens are drawn from the likeliest whose probabilities add up to this share; 1: from all.
        top_k: tokens are drawn from so many of the likeliest; 0: from all.
        stop: strings that end a completion, beside its end token: the token that completes one is the last, and the
            completion keeps the string.
        repetition_penalty: the logit of a token that prompt or completion hold already is divided by this, or
            multiplied where it is negative (see ``logits.penalised``); 1: not changed. For evaluation only.
        presence_penalty: taken off the logit of a token that the completion holds already; 0: not changed. For
            evaluation only.
    """

    max_new_tokens: int = 96
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    @property
    def has_penalties(self) -> bool:
        """True where what was written changes what is chosen next."""
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must not be negative, not {self.top_k}")
        if not all(self.stop):
            raise ValueError("stop must not hold an empty string: every text ends with it")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            raise ValueError(f"repetition_penalty must be a positive number, not {self.repetition_penalty}")
        if not math.isfinite(self.presence_penalty):
            raise ValueError(f"presence_penalty must be a finite number, not {self.presence_penalty}")
