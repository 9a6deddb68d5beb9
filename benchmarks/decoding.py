"""Tokens a second of a rollout: the builtin engine, vLLM in this process, and transformers' ``generate``, in turns.

"plain weights" is the builtin engine without ``policy/blocked_weights``.

    .venv-vllm/bin/python -m benchmarks.decoding

One prompt with a picture and G completions of the same length, on the 37 M model of ``grpo_step`` (float32). The
picture's features are given to the first two. Each side is warmed up once; the table has the median and the range of
the rest.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.sides.running import RESULTS, keep, table_head, table_row
from benchmarks.sides.work import QUESTION, Work, picture, save_model
from tvg_lightning.data.video import VideoClip
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm import VLLMEngine
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy import blocked_weights
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.patches import normalise
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt


def sides(policy: PolicyBackbone, work: Work, num_G: int) -> dict[str, Callable[[], None]]:
    """The functions that are timed, by name: each draws G completions of ``work.new_tokens`` tokens."""
    frames = torch.from_numpy(picture(work))[None].repeat(2, 1, 1, 1)
    prompt = policy.encode(Prompt(QUESTION), VideoClip(frames, (0.0, 0.5), 2.0, "made up"))
    with torch.no_grad():
        features = policy.video_features([prompt])
    generation = GenerationSettings(max_new_tokens=work.new_tokens)
    uniform_GT = StepContext().uniforms([0], num_G, work.new_tokens)
    vllm = VLLMEngine(VLLMSettings(max_length=2048))
    model, g = policy.model, policy.family.geometry

    def with_engine(engine: Any) -> Callable[[], None]:
        def run() -> None:
            (group,) = engine(policy, [prompt], features, num_G, generation, uniform_GT)
            assert all(len(completion.token_ids) == work.new_tokens for completion in group)

        return run

    def with_plain_weights() -> None:
        with patch.multiple(blocked_weights, _LEAST_NUMBERS=sys.maxsize, _LEAST_NUMBERS_OF_HEAD=sys.maxsize):
            with_engine(generate)()

    def with_transformers() -> None:
        ids_1N = prompt.input_ids[None]
        with torch.no_grad():
            rows = model.generate(
                input_ids=ids_1N, attention_mask=torch.ones_like(ids_1N),
                pixel_values_videos=normalise(prompt.patches, policy.head.dtype, g.mean, g.std),
                video_grid_thw=torch.tensor([prompt.grid_thw]), second_per_grid_ts=torch.tensor([1.0]),
                mm_token_type_ids=2 * (ids_1N == model.config.video_token_id).int(), use_cache=True,
                num_return_sequences=num_G, do_sample=True, top_k=0, top_p=1.0,
                min_new_tokens=work.new_tokens, max_new_tokens=work.new_tokens,
            )  # fmt: skip
        assert rows.shape[1] == ids_1N.shape[1] + work.new_tokens

    return {
        "builtin": with_engine(generate),
        "builtin, plain weights": with_plain_weights,
        "vllm": with_engine(vllm),
        "transformers": with_transformers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_generations", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--new_tokens", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    torch.set_num_threads(args.threads)
    work, cases = Work(16, args.new_tokens), []
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        policy = PolicyBackbone(PolicySettings(folder)).eval()
    policy.end_id = policy.text_config.vocab_size - 1  # never drawn: all completions are equally long
    sys.stdout.write(table_head("completions", "engine", "tokens/s", "least to most", "builtin is times faster"))
    for num_G in args.num_generations:
        timed: dict[str, list[float]] = {}
        runs = sides(policy, work, num_G)
        for turn in range(1 + args.repetitions):
            for name, run in runs.items():
                start_s = time.perf_counter()
                run()
                if turn:
                    timed.setdefault(name, []).append(time.perf_counter() - start_s)
        speeds = {name: [num_G * work.new_tokens / s for s in seconds] for name, seconds in timed.items()}
        for name, found in speeds.items():
            ratio = statistics.median(speeds["builtin"]) / statistics.median(found)
            spread = f"{min(found):.0f} to {max(found):.0f}"
            sys.stdout.write(table_row(str(num_G), name, f"{statistics.median(found):.0f}", spread, f"{ratio:.2f}"))
        sys.stdout.flush()
        cases.append({"num_generations": num_G, "new_tokens": work.new_tokens, "tokens_per_s": speeds})
    keep("decoding", cases, args.out)


if __name__ == "__main__":
    main()
