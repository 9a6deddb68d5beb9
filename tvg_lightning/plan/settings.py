"""The input of a plan: a policy, a way to train it, the lengths of a step, and the GPUs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tvg_lightning.data.video import TEMPORAL_PATCH, FrameSettings, smart_size
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.families.family import PromptVideo
from tvg_lightning.policy.settings import Tuning

Strategy = Literal["single", "ddp", "fsdp"]
PlannedOptimizer = Literal["adamw", "adamw_8bit"]
Precision = Literal["32-true", "bf16-mixed", "bf16-true"]

_PICTURE = (720, 1280)  # height and width of a usual video: only the shape of the frames follows from it
_MERGE = 2  # patches along a token's side, in every family
_TOKENS = re.compile(r"<\|\w+\|>|\d|[^\W\d]+|[^\w\s]")  # Qwen's of such texts: a digit, a word, a sign each
_COUNTS = (
    "gpus", "batch_size", "num_generations", "max_new_tokens", "text_tokens", "max_tokens", "lora_rank",
    "logits_chunk", "accumulate_grad_batches",
)  # fmt: skip


@dataclass(frozen=True)
class PlanSettings:
    """One GRPO step on one GPU of ``gpus``, on-policy. Names and defaults are those of the settings of a run.

    precision: the trainer's. 32-true: all in float32. bf16-mixed: what is trained in float32, products in bfloat16, and
    what adapters lie on in bfloat16, as configs/tuning has it. bf16-true: all in bfloat16. batch_size: prompts a GPU.
    text_tokens: of a prompt beside its video. reference: whether a KL is taken (beta > 0), which keeps a copy of what
    is trained. frame_dependence: whether the reward of this name counts. headroom: the share of a GPU's memory to leave
    free, for its context and for what lies between tensors. max_tokens: of a pair of frames. oracle: the annotation as
    one more row of every group, and pruning (``grpo.oracle``); its row is taken to be as long as a completion.
    time_as_text: as in ``data``; fps, of the frames, tells how long the times are. side: of a video token, in pixels;
    video_text: the text of a video in a prompt (None: without times); both are the policy's, and no setting of a run.
    device: a GPU attends to a decoded token in plain steps and updates all weights in one fused operation; all else is
    the same on a CPU, where plans can be held against measurements.
    """

    tuning: Tuning = "full"
    strategy: Strategy = "single"
    gpus: int = 1
    gpu_memory_gib: float = 79.0
    headroom: float = 0.1
    batch_size: int = 1
    num_generations: int = 8
    max_new_tokens: int = 512
    text_tokens: int = 300
    frames: int = 128
    max_tokens: int = FrameSettings.max_tokens
    precision: Precision = "bf16-mixed"
    optimizer: PlannedOptimizer = "adamw"
    gradient_checkpointing: bool = False
    train_vision_tower: bool = False
    train_merger: bool = False
    lora_rank: int = 16
    logits_chunk: int = 512
    accumulate_grad_batches: int = 1
    reference: bool = True
    frame_dependence: bool = False
    device: Literal["cuda", "cpu"] = "cuda"
    oracle: OracleSettings | None = None
    time_as_text: bool = False
    fps: float = FrameSettings.fps
    side: int = 28
    video_text: Callable[[PromptVideo], str] | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if self.__dict__[name] < 1:
                raise ValueError(f"--{name} must be at least 1, not {self.__dict__[name]}")
        if self.frames < TEMPORAL_PATCH or self.frames % TEMPORAL_PATCH:
            raise ValueError(f"--frames must be even and at least 2 (pairs of frames), not {self.frames}")
        if not self.gpu_memory_gib > 0 or not 0 <= self.headroom < 1:
            raise ValueError("--gpu_memory_gib must be positive and --headroom must lie in [0, 1)")
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"--fps must be a positive number, not {self.fps}")
        if self.oracle is not None:
            self.oracle.check_group(self.num_generations)
            if self.reference:
                raise ValueError("--oracle goes without a KL, which an annotation cannot estimate: set --beta to 0")
        if self.strategy == "single" and self.gpus > 1:
            raise ValueError(f"--strategy single is one GPU, not {self.gpus}: say --strategy ddp or fsdp")
        if self.tuning != "full" and (self.train_vision_tower or self.train_merger):
            raise ValueError("--train_vision_tower and --train_merger need --tuning full")
        if self.strategy == "fsdp" and (self.tuning == "qlora" or self.optimizer != "adamw"):
            raise ValueError(
                "--strategy fsdp cuts neither 4-bit weights nor 8-bit states: --tuning lora, --optimizer adamw"
            )

    @property
    def is_sharded(self) -> bool:
        return self.strategy == "fsdp"

    @property
    def autocasts(self) -> bool:
        """True where products cast what they read; shards are cast when they are gathered."""
        return self.precision == "bf16-mixed" and not self.is_sharded

    @property
    def weight_dtype(self) -> Literal["float32", "bfloat16"]:
        """The dtype of all weights but adapters."""
        is_float = self.precision == "32-true" or (self.precision == "bf16-mixed" and self.tuning == "full")
        return "float32" if is_float else "bfloat16"

    @property
    def weight_bytes(self) -> int:
        return 4 if self.weight_dtype == "float32" else 2

    @property
    def trained_bytes(self) -> int:
        """Bytes of one trained number, of its gradient, its reference, and each of its states."""
        return 2 if self.precision == "bf16-true" else 4

    @property
    def compute_bytes(self) -> int:
        """Bytes of a number that products read or give."""
        return 4 if self.precision == "32-true" else 2

    @property
    def stream_bytes(self) -> int:
        """Bytes of a number that embeddings and norms give and layers add to: as their weights are, gathered or not."""
        return self.weight_bytes if self.autocasts else self.compute_bytes

    @property
    def features_need_grad(self) -> bool:
        return self.train_vision_tower or self.train_merger

    @property
    def keeps_gradients(self) -> bool:
        """True where gradients take their place through the whole step: in ddp's buckets, or as they add up."""
        return self.strategy == "ddp" or self.accumulate_grad_batches > 1

    @property
    def num_shards(self) -> int:
        """The number of parts that weights, gradients and optimizer states are cut into."""
        return self.gpus if self.is_sharded else 1

    @property
    def grid_thw(self) -> tuple[int, int, int]:
        """Patches of one video.

        >>> PlanSettings(frames=4, max_tokens=128).grid_thw  # 224 x 420 pixels
        (2, 16, 30)
        """
        height, width = smart_size(*_PICTURE, self.side, self.max_tokens * self.side**2)
        return self.frames // TEMPORAL_PATCH, _MERGE * height // self.side, _MERGE * width // self.side

    @property
    def patches(self) -> int:
        num_t, num_h, num_w = self.grid_thw
        return num_t * num_h * num_w

    @property
    def video_tokens(self) -> int:
        return self.patches // _MERGE**2

    @property
    def prompt_tokens(self) -> int:
        """Tokens of one prompt, its video included, and the times before the pairs of frames, where they are text."""
        return self.text_tokens + self.time_tokens + self.video_tokens

    @property
    def time_tokens(self) -> int:
        """Tokens of all times of a video, and of the marks around each pair of frames but the first."""
        if self.video_text is None:
            return 0
        return _num_time_tokens(self.video_text, self.frames // TEMPORAL_PATCH, self.fps, self.time_as_text)

    @property
    def loss_rows(self) -> int:
        """Rows of a group that are learned from: all completions, or what pruning leaves with the oracle row.

        >>> PlanSettings(reference=False, oracle=OracleSettings()).loss_rows
        4
        """
        return self.num_generations if self.oracle is None else self.oracle.num_rows(self.num_generations)

    @property
    def completion_tokens(self) -> int:
        """Tokens of all rows that the loss is taken over, each as long as it may be."""
        return self.batch_size * self.loss_rows * self.max_new_tokens

    @property
    def row_tokens(self) -> int:
        """Tokens of the packed row that the loss is taken over: a prompt stands in it once."""
        return self.batch_size * self.prompt_tokens + self.completion_tokens


@lru_cache  # advice asks for the same few over and over
def _num_time_tokens(video_text: Callable[[PromptVideo], str], num_pairs: int, fps: float, time_as_text: bool) -> int:
    """Tokens of a video's text beside one for each pair of frames and the marks around one run of them."""
    times_s = tuple(number / fps for number in range(num_pairs * TEMPORAL_PATCH))
    grid_thw = (num_pairs, _MERGE, _MERGE)  # one token a pair
    text = video_text(PromptVideo(grid_thw, times_s, TEMPORAL_PATCH / fps, 0.0, time_as_text))
    return len(_TOKENS.findall(text)) - num_pairs - 2
