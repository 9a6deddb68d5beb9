"""Settings of the policy; impossible ones are refused before any weight loads."""

import math
from dataclasses import dataclass
from typing import Literal

Tuning = Literal["full", "lora", "qlora"]
DType = Literal["float32", "bfloat16"]
Attention = Literal["split", "dense"]


@dataclass(frozen=True)
class PolicySettings:
    """The policy's weights, and which of them are trained.

    checkpoint: "tiny" or "tiny_qwen3_vl" (the policies that come with this package), or a folder or hub name of any
    checkpoint of a known family (``families/known``).
    dtype: of the weights; trainer.precision says in what is computed. cpu_offload: where sharded, shards wait in main
    memory.
    tuning: "full" trains the language model; "lora" trains adapters on it; "qlora" does so over 4-bit
    weights.
    attention: "split" never pays for what completions of a prompt cannot see of each other; "dense" is the
    same through a mask as large as the row squared, for comparison.
    train_vision_tower, train_merger: with "full" only; adapters never touch the vision side. All mergers are trained,
    where there are several.
    thinking: whether prompts end with "<think>" and a new line, so that a completion begins inside its thought; null is
    as the checkpoint's chat template has it.
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
    logits_chunk: int = 512  # completion tokens whose logits exist at one time
    seed: int = 0  # of fresh adapters
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
    """Settings of generation. temperature 0 is greedy decoding; top_p 1 and top_k 0 switch those off.

    stop: a completion ends, beside at its end token, with the token that completes one of these strings; it
    keeps the string.
    repetition_penalty: what the logit of a token that prompt or completion hold already is divided by (multiplied,
    where it is negative), 1 is none; presence_penalty: what is subtracted from that of a token of the completion, 0 is
    none (see ``logits.penalised``). For evaluation only.
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
