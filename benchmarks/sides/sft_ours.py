"""One side of ``sft_step``: this project's."""

import time

import torch

from benchmarks.sides.work import (
    LEARNING_RATE,
    MAX_GRAD_NORM,
    QUESTION,
    Measured,
    peak_gib,
    read_work,
    sft_samples,
    tell,
    threads_from,
)
from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.sft import sft_step
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt, Sample, Span, Task


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    policy = PolicyBackbone(PolicySettings(str(folder), gradient_checkpointing=work.gradient_checkpointing))
    policy.suppressed_ids = policy.suppressed_ids[:0]  # the other side's loss is over all of the vocabulary
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    sample = Sample("noise", "noise.mp4", 1.0, QUESTION, (Span(0.0, 1.0),))
    items = [
        Item(sample, Task.TVG, Prompt(QUESTION), VideoClip(frames, (0.0, 0.5), 2.0, "noise"), (), 0, target=words)
        for frames, words in sft_samples(work)
    ]
    before_gib = peak_gib()
    seconds, processor_s, losses, num_tokens = [], [], [], 0
    for step in range(1 + work.repetitions):
        start_s, start_processor_s = time.perf_counter(), time.process_time()
        phases = Phases()
        phases.start(policy.device)
        result = sft_step(policy, items, StepContext(0, "sft", step, 0), phases)
        result.loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start_s)
        processor_s.append(time.process_time() - start_processor_s)
        losses.append(float(result.loss))
        num_tokens = result.num_tokens
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    tell(
        Measured(
            sum(len(prompt.input_ids) for prompt in prompts),
            sum(int((prompt.input_ids == policy.model.config.video_token_id).sum()) for prompt in prompts),
            num_tokens,
            seconds[1:],
            processor_s[1:],
            {},
            peak_gib(),
            before_gib,
            sum(p.numel() for p in policy.parameters()),
            losses[0],
        )
    )


if __name__ == "__main__":
    main()
