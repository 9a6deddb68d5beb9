"""Questions about one video, asked of a policy outside of a run: the reader, engine and parser of ``predict``."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tvg_lightning.data.item_reader import ItemReader
from tvg_lightning.data.items import Question
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.modules.evaluation import Evaluated, evaluate
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.export import check_base, read_trained
from tvg_lightning.policy.four_bit import Linear4bit
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.loading import PACKAGED
from tvg_lightning.policy.settings import DType, PolicySettings
from tvg_lightning.schema import AnswerFormat, Sample, Task

TINY_PARAMETERS = 10_000_000  # a policy with fewer is of the kind that comes with this package
BATCH = 4  # questions at a time


@dataclass(frozen=True)
class AskSettings:
    """Frames that the policy sees and the length of its answers; None: as fits the policy (``settled``).

    ``fps``: frames a second, of which at most ``max_frames`` are taken, spread over the whole video. ``max_tokens``:
    video tokens of one frame. ``max_new_tokens``: of one answer.
    """

    fps: float = 2.0
    max_frames: int | None = None
    max_tokens: int | None = None
    max_new_tokens: int | None = None

    def settled(self, is_tiny: bool) -> "AskSettings":
        """The settings with numbers for all: those the packaged policy knows, or room for a published one."""
        frames, seen, written = (40, 1, 96) if is_tiny else (128, 128, 512)
        return replace(
            self,
            max_frames=self.max_frames or frames,
            max_tokens=self.max_tokens or seen,
            max_new_tokens=self.max_new_tokens or written,
        )

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"--fps must be a positive number, not {self.fps}")
        if self.max_frames is not None and (self.max_frames < 2 or self.max_frames % 2):
            raise ValueError(
                f"--max_frames must be an even number of at least 2 (frames go in pairs), not {self.max_frames}"
            )
        for name in ("max_tokens", "max_new_tokens"):
            if (value := self.__dict__[name]) is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1, not {value}")


def load_policy(name: str) -> PolicyBackbone:
    """A policy by the name of a checkpoint of training (``.ckpt``), or as in ``policy.checkpoint``, ready to answer.

    On a GPU, where there is one, and then in bfloat16. ValueError in one sentence where there is no whole policy.
    """
    has_gpu = torch.cuda.is_available()
    dtype: DType = "bfloat16" if has_gpu else "float32"
    try:
        policy = _of_training(Path(name), dtype) if name.endswith(".ckpt") else _published(name, dtype)
    except ValueError as error:
        # words about a key of a config, and of the hub's client on several lines
        raise ValueError(" ".join(str(error).replace("policy.checkpoint:", "--policy:").split())) from error
    return policy.to("cuda" if has_gpu else "cpu").eval()


def _published(name: str, dtype: DType) -> PolicyBackbone:
    """The packaged policy, a folder with a whole model (published or exported), or one of the hub."""
    folder = Path(name)
    if name.endswith(".json"):
        raise ValueError(f"--policy: {name} is an architecture without weights, which knows nothing; give a checkpoint")
    if (folder / "adapter_config.json").is_file():
        raise ValueError(
            f"--policy: {name} holds adapters, no whole model; give the run's checkpoint (.ckpt) that they were "
            "exported from, or export it with --merge"
        )
    if folder.is_dir() and name not in PACKAGED and not (folder / "config.json").is_file():
        raise ValueError(
            f"--policy: {name} has no config.json; give a checkpoint of training (.ckpt), or the folder of a model"
        )
    return PolicyBackbone(PolicySettings(checkpoint=name, dtype=dtype))


def _of_training(path: Path, dtype: DType) -> PolicyBackbone:
    """The policy of a run's checkpoint, its adapters on their base where those were trained."""
    if not path.exists():
        raise ValueError(f"--policy: there is no checkpoint {path}")
    trained = read_trained(path)
    check_base(trained)
    policy = PolicyBackbone(replace(trained.settings, dtype=dtype, gradient_checkpointing=False))
    try:
        found = policy.model.load_state_dict(trained.weights, strict=trained.settings.tuning == "full")
    except RuntimeError as error:
        raise ValueError(
            f"--policy: the weights in {path} do not fit {trained.settings.checkpoint}: {error}"
        ) from error
    if found.unexpected_keys:
        raise ValueError(f"--policy: {path} holds weights that its base has no place for: {found.unexpected_keys[0]}")
    lacking = [name for name in found.missing_keys if "lora_" in name]
    if lacking:
        raise ValueError(f"--policy: {path} lacks adapters that its settings ask for: {lacking[0]}")
    return policy


def num_parameters(policy: PolicyBackbone) -> int:
    """The number of weights of a policy; those in 4 bits, of which two lie in a byte, count as what they stand for."""
    packed = [layer for layer in policy.modules() if isinstance(layer, Linear4bit)]
    hidden = sum(layer.in_features * layer.out_features - layer.weight.numel() for layer in packed)
    return hidden + sum(parameter.numel() for parameter in policy.parameters())


def ask(
    policy: PolicyBackbone, folder: Path, samples: Sequence[Sample], form: AnswerFormat, settings: AskSettings
) -> Iterator[Evaluated]:
    """Greedy answers to questions about one video in ``folder``, which is read once; ValueError where it cannot be.

    ``settings`` are settled.
    """
    assert settings.max_frames and settings.max_tokens and settings.max_new_tokens
    frames = FrameSettings(settings.fps, settings.max_frames, max_tokens=settings.max_tokens, min_tokens=1)
    reader = ItemReader.in_this_process(folder, form, frames, side=policy.side)
    questions = [Question(sample, Task.TVG, number) for number, sample in enumerate(samples)]
    ((first,),) = reader.evaluation([questions[:1]])
    if first.error is not None:
        raise ValueError(first.error)
    items = [reader.maker.make(question, first.clip) for question in questions]
    evaluation = EvaluationSettings(max_new_tokens=settings.max_new_tokens)
    for start in range(0, len(items), BATCH):
        yield from evaluate(policy, items[start : start + BATCH], form, evaluation, generate)
