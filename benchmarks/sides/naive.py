"""The naive path, on stock transformers: ``generate`` with G sequences, then G full rows forward and backward."""

import time

import torch
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from benchmarks.sides.work import (
    QUESTION,
    Measured,
    peak_gib,
    picture,
    read_work,
    tell,
    threads_from,
)
from tvg_lightning.advantage import group_advantage
from tvg_lightning.policy.chat import Turns, chat_ids, video_run
from tvg_lightning.policy.families.qwen2_5_vl import DEFAULT_SYSTEM
from tvg_lightning.policy.patches import normalise, patchify
from tvg_lightning.schema import Prompt


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, work.dtype))
    model.model.visual.requires_grad_(False)
    video_id = model.config.video_token_id
    num_G, num_new = work.num_generations, work.new_tokens
    before_gib = peak_gib()
    phases: dict[str, list[float]] = {"rollout": [], "backward": []}
    seconds, processor_s = [], []
    tokenizer, video = AutoTokenizer.from_pretrained(folder), video_run(work.side**2)
    prompt_1N = torch.tensor([chat_ids(tokenizer, Prompt(QUESTION), video, Turns(DEFAULT_SYSTEM))])
    frames = torch.from_numpy(picture(work))[None].repeat(2, 1, 1, 1)

    def inputs(num_rows: int, ids_RN: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every row with its own copy of the video, as trainers give it."""
        patches, grid = patchify(frames)
        return {
            "input_ids": ids_RN,
            "attention_mask": torch.ones_like(ids_RN),
            "pixel_values_videos": normalise(patches, model.dtype).repeat(num_rows, 1),
            "video_grid_thw": grid[None].repeat(num_rows, 1),
            "second_per_grid_ts": torch.full((num_rows,), 0.5),
            "mm_token_type_ids": 2 * (ids_RN == video_id).int(),
        }

    for _ in range(1 + work.repetitions):
        start_s, start_processor_s = time.perf_counter(), time.process_time()
        model.eval()
        with torch.no_grad():
            row_GT = model.generate(
                **inputs(1, prompt_1N), num_return_sequences=num_G, do_sample=True, top_k=0, top_p=1.0,
                min_new_tokens=num_new, max_new_tokens=num_new, suppress_tokens=[video_id, model.config.image_token_id],
            )  # fmt: skip
        written_s = time.perf_counter()
        model.train()
        completion_GC = row_GT[:, prompt_1N.shape[1] :]
        reward_1G = torch.tensor([[float(len(set(ids))) for ids in completion_GC.tolist()]])
        advantage_G1 = group_advantage(reward_1G, "group")[0][:, None]
        logits_GCV = model(**inputs(num_G, row_GT), logits_to_keep=num_new + 1, use_cache=False).logits[:, :-1]
        logp_GC = logits_GCV.log_softmax(2).gather(2, completion_GC[..., None])[..., 0]
        (-((logp_GC - logp_GC.detach()).exp() * advantage_G1).mean()).backward()
        model.zero_grad()
        end_s = time.perf_counter()
        phases["rollout"].append(written_s - start_s)
        phases["backward"].append(end_s - written_s)
        seconds.append(end_s - start_s)
        processor_s.append(time.process_time() - start_processor_s)
    tell(
        Measured(
            prompt_1N.shape[1],
            int((prompt_1N == video_id).sum()),
            completion_GC.shape[1],
            seconds[1:],
            processor_s[1:],
            {phase: times[1:] for phase, times in phases.items()},
            peak_gib(),
            before_gib,
            sum(p.numel() for p in model.parameters()),
        )
    )


if __name__ == "__main__":
    main()
