"""What the pages say that ``plan`` says."""

import json

import pytest

from tests.docs.pages import ROOT
from tvg_lightning.__main__ import main

CHECKPOINTING = ["--gradient_checkpointing", "true"]


def planned(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[float, float]:
    """The peak in GiB and the seconds of a step."""
    main(["plan", *options, *CHECKPOINTING, "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found["peak"] / 2**30, sum(found["seconds"].values())


def words_of(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_from_one_gpu_to_many(capsys: pytest.CaptureFixture[str]) -> None:
    """The options are those of the second table."""
    words = words_of("docs/scaling.md")
    small, ddp, fsdp = ["--policy", "qwen2_5_vl_3b"], ["--strategy", "ddp"], ["--strategy", "fsdp"]
    qlora, _ = planned(capsys, *small, "--tuning", "qlora", *ddp)
    assert f"`tuning/qlora.yaml` | {qlora:.1f} GiB |" in words
    lora, _ = planned(capsys, "--tuning", "lora", *ddp)
    assert f"`tuning/lora.yaml` (7B) | {lora:.1f} GiB |" in words
    full, _ = planned(capsys, *small, *fsdp, "--gpus", "8")
    copied, _ = planned(capsys, *small, *ddp, "--gpus", "8")
    assert f"(full) | {full:.1f} GiB; {copied:.1f} with `--trainer.strategy ddp` |" in words
    eight, _ = planned(capsys, *fsdp, "--gpus", "8")
    sixteen, _ = planned(capsys, *fsdp, "--gpus", "16")
    assert f"| 8 H100 | none (7B, full) | {eight:.1f} GiB |" in words and f"half of the {eight:.1f} GiB" in words
    assert f"| 16 H100 | none (7B, full) | {sixteen:.1f} GiB |" in words


def test_fewer_prompts_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    """TVG-R1's recipe, as its configuration has it."""
    command = (
        "--strategy fsdp --gpus 8 --gradient_checkpointing true --train_vision_tower true --train_merger true --beta 0 "
        "--frames 64 --max_new_tokens 2048"
    )
    many, _ = planned(capsys, *command.split(), "--batch_size", "8")
    one, _ = planned(capsys, *command.split(), "--batch_size", "1", "--accumulate_grad_batches", "8")
    words = words_of("docs/recipes.md")
    assert f"`python -m tvg_lightning plan {command}` says {many:.0f} GiB a GPU with `--batch_size 8`" in words
    assert f"and {one:.0f} with `--batch_size 1 --accumulate_grad_batches 8`" in words


def test_frame_dependence(capsys: pytest.CaptureFixture[str]) -> None:
    """Videos of 3,360 tokens: 28 pairs of frames of 120."""
    step = ["--strategy", "fsdp", "--gpus", "8", "--batch_size", "2", "--max_new_tokens", "1024", "--frames", "56"]
    _, without = planned(capsys, *step)
    _, with_it = planned(capsys, *step, "--frame_dependence", "true")
    assert f"{with_it:.1f} s a step instead of {without:.1f}" in words_of("docs/recipes.md")
