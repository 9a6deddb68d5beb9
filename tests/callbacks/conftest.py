"""A staged run in which all is real but the policy, the frames and the metrics, and which takes no time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from callbacks.anchor_trace import AnchorTrace
from tests.builders import write_annotations
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.modules import grounding
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.modules.step import StepResult
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.sample_files import Split
from tvg_lightning.schema import Task


class OneNumber(nn.Module):
    """A policy of one weight, which every step pushes down by its learning rate or so."""

    def note_change(self) -> None:
        """As a policy does."""

    side = 28

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def trainable_weights(self) -> dict[str, Tensor]:
        return {"weight": self.weight.detach().clone()}

    def load_trainable_weights(self, weights: dict[str, Tensor]) -> None:
        self.weight.data.copy_(weights["weight"])


class NoFrames(FrameCache):
    """Black pictures in place of any file."""

    def find(self, key: str | None) -> VideoClip:
        return VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 0.5), 2.0, "none")


class Data(TVGDataModule):
    def _pool(self) -> ClipPool:
        return ClipPool(0, cache=NoFrames(None))


class Written(AnchorTrace):
    """Stands for the writer of traces that a test has written itself."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pass


class Stages(StagedModule):
    """Notes what is done in which stage; the rewards of the batches are given beforehand."""

    def __init__(self, stages: list[StageSettings], rewards: Sequence[float]) -> None:
        super().__init__(PolicySettings(), stages)
        self.rewards = rewards
        self.taken: list[str] = []
        self.asked: list[list[str]] = []
        self.fails_at: int | None = None
        self.targets: list[str | None] = []
        self.validated: list[str] = []
        self.weights: list[float] = []  # before every step
        self.lrs: list[float] = []

    def take_step(self, items: Sequence[Item]) -> StepResult:
        self.weights.append(self.policy.weight.item())
        self.lrs.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        reward = self.rewards[min(len(self.taken), len(self.rewards) - 1)]
        self.taken.append(self.stage.name)
        self.asked.append([item.sample.sample_id for item in items])
        if len(self.taken) - 1 == self.fails_at:
            raise RuntimeError("no memory is left")
        self.targets += [item.target for item in items]
        return StepResult(self.policy.weight * 1.0, {"reward": reward})

    def _evaluate(self, batch: list[Item], dataloader_idx: int) -> None:
        self.validated.append("base" if self.trainer.sanity_checking else self.stage.name)
        metric: Any = self.metrics[list(self.metrics)[dataloader_idx]].grounding
        ious = [len(self.taken) / 16]
        metric.update(Task.TVG, ious, [True], [[0.25, 0.5]], [True], num_tokens=[7], truncated=[False])


class SavedAt(L.Callback):
    """The steps at which a checkpoint was written."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: Any) -> None:
        self.steps.append(trainer.global_step)


Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run(stages, callbacks, rewards)`` fits; gives the module, the steps of checkpoints and the folder."""
    monkeypatch.setattr(grounding, "PolicyBackbone", OneNumber)
    (tmp_path / "videos").mkdir()
    for k in range(4):
        (tmp_path / "videos" / f"s{k}.mp4").touch()
    file = str(write_annotations(tmp_path / "a.jsonl", [f"s{k}" for k in range(4)]))

    def fit(
        stages: list[StageSettings],
        callbacks: list[L.Callback],
        rewards: Sequence[float] = (0.0,),
        ckpt_path: Path | None = None,
        fails_at: int | None = None,
        **more: Any,
    ) -> SimpleNamespace:
        data = Data(str(tmp_path / "videos"), train=file, val=[Split("held_out", file)], eval_batch_size=8)
        saved = SavedAt()
        trainer = L.Trainer(
            default_root_dir=tmp_path / "run",
            accelerator="cpu",
            num_sanity_val_steps=-1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[*callbacks, saved],
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            **{"max_epochs": -1, **more},
        )
        module = Stages(stages, rewards)
        module.fails_at = fails_at
        trainer.fit(module, data, ckpt_path=ckpt_path)
        return SimpleNamespace(
            module=module, saved=sorted(set(saved.steps)), folder=tmp_path / "run", trainer=trainer, data=data
        )

    return fit
