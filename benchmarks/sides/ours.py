"""One side of ``grpo_step``: this project's engine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.sides.work import (
    LEARNING_RATE,
    MAX_GRAD_NORM,
    QUESTION,
    Measured,
    peak_gib,
    picture,
    read_work,
    tell,
    threads_from,
)
from tvg_lightning.advantage import group_advantage
from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import VISION_TOKENS
from tvg_lightning.policy.rollout import sample
from tvg_lightning.policy.settings import PolicySettings, SamplingSettings
from tvg_lightning.schema import Prompt


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    policy = PolicyBackbone(
        PolicySettings(
            str(folder),
            dtype="bfloat16" if work.dtype == "bfloat16" else "float32",
            gradient_checkpointing=work.gradient_checkpointing,
        )
    )
    policy.end_id = -1  # every completion is as long as it may be
    # as in TRL, beside the vision tokens; seven of eight rows of this head have no token
    policy.suppressed_ids = policy.suppressed_ids[: len(VISION_TOKENS)]
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)  # as in TRL
    # two equal frames are what the tower makes of one picture
    frames = torch.from_numpy(picture(work))[None].repeat(2, 1, 1, 1)
    clip = VideoClip(frames, (0.0, 0.5), 2.0, "noise")
    sampling = SamplingSettings(max_new_tokens=work.new_tokens)
    generator = torch.Generator().manual_seed(0)
    before_gib = peak_gib()
    phases: dict[str, list[float]] = {"see": [], "rollout": [], "loss": [], "backward": [], "update": []}
    seconds, processor_s = [], []
    prompt = policy.encode(Prompt(QUESTION), clip)

    @contextmanager
    def timed(phase: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        phases[phase].append(time.perf_counter() - start_s)

    for _ in range(1 + work.repetitions):
        start_s, start_processor_s = time.perf_counter(), time.process_time()
        with timed("see"):
            prompt = policy.encode(Prompt(QUESTION), clip)
            features = policy.see([prompt])
        with timed("rollout"):
            uniform_RT = torch.rand(work.num_generations, work.new_tokens, generator=generator)
            groups = sample(policy, [prompt], features, work.num_generations, sampling, uniform_RT)
        with timed("loss"):
            ids = [[completion.token_ids for completion in group] for group in groups]
            reward_BG = torch.tensor([[float(len(set(c))) for c in group] for group in ids])
            advantage_BG1 = group_advantage(reward_BG, "group")[..., None]
            logp_BGC, mask_BGC = policy.logp([prompt], ids, features)
            ratio_BGC = (logp_BGC - logp_BGC.detach()).exp()
            loss = -(ratio_BGC * advantage_BG1 * mask_BGC).sum() / mask_BGC.sum()
        with timed("backward"):
            loss.backward()
        with timed("update"):
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimizer.step()
            optimizer.zero_grad()
        seconds.append(time.perf_counter() - start_s)
        processor_s.append(time.process_time() - start_processor_s)
    num_vision = int((prompt.input_ids == policy.model.config.video_token_id).sum())
    tell(
        Measured(
            len(prompt.input_ids),
            num_vision,
            int(mask_BGC.sum()) // work.num_generations,
            seconds[1:],
            processor_s[1:],
            {phase: times[1:] for phase, times in phases.items()},
            peak_gib(),
            before_gib,
            sum(p.numel() for p in policy.parameters()),
        )
    )


if __name__ == "__main__":
    main()
