"""The other side of ``sft_step``: transformers' Trainer on stock transformers' model, samples padded to the longest.

It gets this project's position ids, so that both sides compute the same loss.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from torch.utils.data import Dataset
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration, Trainer, TrainingArguments

from benchmarks.sides.stopwatch import Stopwatch
from benchmarks.sides.work import (
    LEARNING_RATE,
    MAX_GRAD_NORM,
    QUESTION,
    Measured,
    Work,
    peak_gib,
    read_work,
    sft_samples,
    tell,
    threads_from,
)
from tvg_lightning.policy.chat import END_OF_TURN, Turns, chat_ids, token_id, video_run
from tvg_lightning.policy.families.qwen2_5_vl import DEFAULT_SYSTEM, video_position_ids
from tvg_lightning.policy.mrope import prompt_position_ids
from tvg_lightning.policy.patches import normalise, patchify
from tvg_lightning.schema import Prompt

Sample = dict[str, Any]


class Samples(Dataset[Sample]):
    """The samples of a step, over and over."""

    def __init__(self, samples: Sequence[Sample], num_steps: int) -> None:
        self.samples, self.num_steps = samples, num_steps

    def __len__(self) -> int:
        return len(self.samples) * self.num_steps

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index % len(self.samples)]


def sample_of(frames: torch.Tensor, words: str, tokenizer: Any, video_id: int) -> Sample:
    """Ids, labels and positions of one sample; its patches are cut with the batch, outside of the timed step."""
    _, height, width, _ = frames.shape
    grid_thw = (1, height // 14, width // 14)
    prompt = chat_ids(tokenizer, Prompt(QUESTION), video_run(grid_thw[1] * grid_thw[2] // 4), Turns(DEFAULT_SYSTEM))
    target = [*tokenizer(words)["input_ids"], token_id(tokenizer, END_OF_TURN)]
    position_3P = prompt_position_ids(prompt, video_id, [video_position_ids(grid_thw, 1.0, 2)])
    after_3C = position_3P.max() + 1 + torch.arange(len(target)).expand(3, -1)
    return {
        "ids": torch.tensor([*prompt, *target]),
        "labels": torch.tensor([-100] * len(prompt) + target),
        "positions": torch.cat([position_3P, after_3C], dim=1),
        "frames": frames,
        "num_prompt": len(prompt),
    }


def collated(samples: Sequence[Sample], pad_id: int) -> dict[str, torch.Tensor]:
    longest = max(len(sample["ids"]) for sample in samples)

    def padded(name: str, value: int) -> list[torch.Tensor]:
        return [pad(s[name], (0, longest - s[name].shape[-1]), value=value) for s in samples]

    cut = [patchify(sample["frames"]) for sample in samples]
    return {
        "input_ids": torch.stack(padded("ids", pad_id)),
        "labels": torch.stack(padded("labels", -100)),
        "position_ids": torch.stack(padded("positions", 0), dim=1),
        "attention_mask": torch.stack([torch.arange(longest) < len(sample["ids"]) for sample in samples]).long(),
        "pixel_values_videos": torch.cat([normalise(patches, torch.float32) for patches, _ in cut]),
        "video_grid_thw": torch.stack([grid for _, grid in cut]),
    }


def arguments(work: Work, folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=4,
        max_steps=1 + work.repetitions,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        max_grad_norm=MAX_GRAD_NORM,
        gradient_checkpointing=work.gradient_checkpointing,
        optim="adamw_torch_fused",
        remove_unused_columns=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


class InOrder(Trainer):
    """The samples of a step are those of the other side, in their order."""

    def _get_train_sampler(self, train_dataset: Any = None) -> None:
        return None


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, work.dtype))
    model.model.visual.requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    video_id, pad_id = model.config.video_token_id, model.config.text_config.pad_token_id
    samples = [sample_of(frames, words, tokenizer, video_id) for frames, words in sft_samples(work)]
    stopwatch = Stopwatch()
    before_gib = peak_gib()
    with tempfile.TemporaryDirectory() as output:
        trainer = InOrder(
            model,
            arguments(work, output),
            data_collator=lambda batch: collated(batch, pad_id),
            train_dataset=Samples(samples, 1 + work.repetitions),
            callbacks=[stopwatch],
        )
        trainer.train()
    num_prompt = sum(sample["num_prompt"] for sample in samples)
    tell(
        Measured(
            num_prompt,
            sum(int((sample["ids"] == video_id).sum()) for sample in samples),
            sum(len(sample["ids"]) for sample in samples) - num_prompt,
            stopwatch.seconds[1:],
            stopwatch.processor_s[1:],
            {},
            peak_gib(),
            before_gib,
            sum(p.numel() for p in model.parameters()),
            trainer.state.log_history[0]["loss"],
        )
    )


if __name__ == "__main__":
    main()
