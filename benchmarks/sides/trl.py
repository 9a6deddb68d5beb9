"""The other side of ``grpo_step``: TRL's GRPOTrainer with generation by transformers.

It has no way for video, so it reads the same picture as an image: as many patches for the same tower, as many
vision tokens. The tower is frozen on both sides.
"""

import tempfile
from typing import Any

import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    AutoTokenizer,
    ProcessorMixin,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

from benchmarks.sides.stopwatch import Stopwatch
from benchmarks.sides.work import (
    LEARNING_RATE,
    MAX_GRAD_NORM,
    QUESTION,
    Measured,
    Work,
    peak_gib,
    picture,
    read_work,
    tell,
    threads_from,
)
from tvg_lightning.policy.families.qwen2_5_vl import DEFAULT_SYSTEM

# the chat template of tvg_lightning.policy.chat, with a picture in the place of the video
CHAT_TEMPLATE = (
    "<|im_start|>system\n" + DEFAULT_SYSTEM + "<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ImageProcessor(Qwen2_5_VLProcessor):
    """Qwen's processor without the part for videos, which needs torchvision."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None) -> None:
        self.image_token = "<|image_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token = "<|video_pad|>"
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def config_of(work: Work, folder: str) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=work.trl_rows,
        gradient_accumulation_steps=work.num_generations // work.trl_rows,
        num_generations=work.num_generations,
        max_completion_length=work.new_tokens,
        generation_kwargs={"min_new_tokens": work.new_tokens},
        max_steps=1 + work.repetitions,
        learning_rate=LEARNING_RATE,
        max_grad_norm=MAX_GRAD_NORM,
        gradient_checkpointing=work.gradient_checkpointing,
        bf16=False,
        use_cpu=True,
        beta=0.0,
        temperature=1.0,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, work.dtype))
    model.model.visual.requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pixels = (work.side * 28) ** 2
    image_processor = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=pixels)
    processor = ImageProcessor(image_processor, tokenizer, CHAT_TEMPLATE)
    question = [{"role": "user", "content": QUESTION}]
    rows = [{"prompt": question, "image": Image.fromarray(picture(work))} for _ in range(1 + work.repetitions)]
    seen: dict[str, int] = {}

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        seen["new_tokens"] = sum(map(len, completion_ids)) // len(completion_ids)
        return [float(len(set(ids))) for ids in completion_ids]

    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as output:
        trainer = GRPOTrainer(
            model,
            reward,
            config_of(work, output),
            Dataset.from_list(rows),
            processing_class=processor,
            callbacks=[stopwatch],
        )
        before_gib = peak_gib()
        compute_loss = trainer.compute_loss

        def count_tokens(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            seen["prompt_tokens"] = inputs["prompt_ids"].shape[1]
            seen["vision_tokens"] = int((inputs["prompt_ids"][0] == model.config.image_token_id).sum())
            return compute_loss(model, inputs, *args, **kwargs)

        trainer.compute_loss = count_tokens
        trainer.train()
    num_parameters = sum(p.numel() for p in model.parameters())
    tell(
        Measured(
            seen["prompt_tokens"],
            seen["vision_tokens"],
            seen["new_tokens"],
            stopwatch.seconds[1:],
            stopwatch.processor_s[1:],
            {},
            peak_gib(),
            before_gib,
            num_parameters,
        )
    )


if __name__ == "__main__":
    main()
