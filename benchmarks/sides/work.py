"""The work of one GRPO step that both sides of ``grpo_step`` do: the model, the picture, the question, the sizes."""

import json
import os
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from tvg_lightning.policy.chat import END_OF_TURN, VISION_TOKENS, token_id
from tvg_lightning.policy.families.qwen2_5_vl import QWEN2_5_VL
from tvg_lightning.policy.flops import StepFlops, step_flops
from tvg_lightning.policy.loading import TINY_FOLDER

QUESTION = "When does the red circle spin?"
LEARNING_RATE = 1e-5
MAX_GRAD_NORM = 1.0
VOCABULARY = 8192


@dataclass(frozen=True)
class Work:
    """One case. The picture has side x side language tokens of 28 x 28 pixels."""

    side: int
    new_tokens: int
    num_generations: int = 8
    repetitions: int = 5
    threads: int = 2
    dtype: str = "float32"
    gradient_checkpointing: bool = False
    trl_rows: int = 8  # completions a backward pass on TRL's side; fewer where its memory ends
    prune: float | None = None  # of ``grpo.oracle``; None: no oracle row

    def as_dict(self) -> dict[str, float | str | bool | None]:
        return asdict(self)


@dataclass(frozen=True)
class Measured:
    """Measurements of one side: seconds of every step after the first, its phases, and the most memory it ever held."""

    prompt_tokens: int
    vision_tokens: int
    new_tokens: int
    seconds: list[float]
    processor_s: list[float]  # of all threads; what other programs do to the machine shows less in it
    phases_s: dict[str, list[float]]
    peak_gib: float
    before_gib: float  # held before the first step: imports, weights, optimizer not yet
    parameters: int
    first_loss: float | None = None  # of the first step, where both sides compute the same one

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def model_config() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL in all but size, 37 M parameters; the packaged tokenizer knows 1,024 of the 8,192 tokens."""
    tokenizer = AutoTokenizer.from_pretrained(TINY_FOLDER)
    ids = {token: token_id(tokenizer, token) for token in (END_OF_TURN, "<|endoftext|>", *VISION_TOKENS)}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
            "bos_token_id": None,
            "eos_token_id": ids[END_OF_TURN],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 4,
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_heads": 6,
            "out_hidden_size": 512,
            "fullatt_block_indexes": [1, 3],
            "window_size": 112,
            "tokens_per_second": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def save_model(folder: Path) -> None:
    """Random weights, the same every time, with the packaged tokenizer beside them."""
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration._from_config(model_config(), dtype=torch.float32)
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY_FOLDER).save_pretrained(folder)


def picture(work: Work) -> np.ndarray:
    """Noise, (H, W, 3) bytes."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (work.side * 28, work.side * 28, 3), dtype=np.uint8)


def sft_samples(work: Work) -> list[tuple[torch.Tensor, str]]:
    """Four videos of two equal frames (2, H, W, 3), each smaller than the last, and what is to be said of them."""
    samples = []
    for index in range(4):
        frames = torch.from_numpy(picture(replace(work, side=work.side - 4 * index)))[None].repeat(2, 1, 1, 1)
        words = " ".join(f"From {n}.0 to {n + 1}.0 it spins." for n in range((index + 1) * work.new_tokens // 40))
        samples.append((frames, words))
    return samples


def peak_gib() -> float:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured_peak(threads: int, dtype: str, size: int = 2048, tries: int = 10) -> float:
    """Operations a second of the fastest of several products of two square matrices: what this machine can do."""
    torch.set_num_threads(threads)
    matrix = torch.randn(size, size).to(getattr(torch, dtype))
    fastest_s = float("inf")
    for _ in range(tries):
        start_s = time.perf_counter()
        torch.mm(matrix, matrix)
        fastest_s = min(fastest_s, time.perf_counter() - start_s)
    return 2 * size**3 / fastest_s


def least_operations(work: Work, prompt_tokens: int) -> StepFlops:
    """The operations that one step of this work needs at least, however it is done."""
    config = model_config()
    return step_flops(
        config.text_config,
        QWEN2_5_VL.tower_flops(config.vision_config, (1, 2 * work.side, 2 * work.side)),
        [prompt_tokens],
        [[work.new_tokens] * work.num_generations],
    )


def threads_from(work: Work) -> None:
    torch.set_num_threads(work.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def read_work() -> tuple[Work, Path]:
    """A side is started as ``python -m benchmarks.sides.… WORK_JSON MODEL_FOLDER``."""
    return Work(**json.loads(sys.argv[1])), Path(sys.argv[2])


def tell(measured: Measured) -> None:
    """Write the result as the last line."""
    sys.stdout.write("\n" + json.dumps(asdict(measured)) + "\n")
