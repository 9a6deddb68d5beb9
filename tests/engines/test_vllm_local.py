"""Whole runs on a vLLM in their own process: three stages, the other commands, and what the process is left as."""

import random
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

import train
from tests.runs import WITHOUT_VALIDATION, grpo, in_processes, stage, write_config
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm import VLLMEngine
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.traces import read_traces

from .conftest import ask, uniforms

pytestmark = pytest.mark.vllm
ON_VLLM = ["--model.init_args.engine", "vllm", "--model.init_args.vllm.max_length", "1024"]


def rewards(folder: Path, name: str) -> list[float]:
    return [trace.reward for file in sorted((folder / "traces").glob(f"{name}*.jsonl")) for trace in read_traces(file)]


def test_three_stages_on_either_engine(tmp_path: Path, shapes: Path) -> None:
    """The same run from the same seed: as many traces, rewards in the same range, none below what is possible."""
    means = {}
    for name, more in {"builtin": [], "vllm": ON_VLLM}.items():
        config = write_config(tmp_path / name, shapes)
        train.main(["fit", "--config", str(config), *more])
        means[name] = {one: rewards(tmp_path / name, one) for one in ("explore", "refine")}
    for one in ("explore", "refine"):
        ours, theirs = means["vllm"][one], means["builtin"][one]
        assert len(ours) == len(theirs) == 36  # six steps of two prompts, three completions each
        spread = (np.std(ours) ** 2 / 36 + np.std(theirs) ** 2 / 36) ** 0.5
        assert abs(fmean(ours) - fmean(theirs)) < 4 * spread + 0.05
    assert (tmp_path / "vllm" / "checkpoints" / "last.ckpt").is_file()


def test_two_processes_have_a_vllm_each(tmp_path: Path, shapes: Path) -> None:
    """Shards are gathered into both; past a difference of 1e-4 nats from the loss the run would stop."""
    correction = {"max_difference": 1e-4}
    config = write_config(tmp_path, shapes, stages=[stage("only", 3, **grpo(importance_correction=correction))])
    more = ["--trainer.devices", "2", "--trainer.strategy", "fsdp", *WITHOUT_VALIDATION]
    ended = in_processes(tmp_path, "fit", "--config", config, *ON_VLLM, *more, num_processes=2, limit_s=250)
    assert ended.codes == [0, 0], ended.said
    assert len(rewards(tmp_path, "only")) == 3 * 2 * 2 * 3  # steps, processes, prompts, completions


@pytest.mark.parametrize(
    ("how", "bound"),
    [
        (["--trainer.precision", "bf16-mixed"], 0.02),  # nats a token on average; 0.004 was seen
        (["--tuning", "lora"], 1e-5),
        (["--tuning", "qlora"], 1e-5),
    ],
)
def test_every_tuning_and_precision(tmp_path: Path, shapes: Path, how: list[str], bound: float) -> None:
    """Past the bound the run would stop, also after updates: merged adapters and cast weights are the loss's."""
    correction = {"max_difference": bound}
    config = write_config(tmp_path, shapes, stages=[stage("only", 4, **grpo(importance_correction=correction))])
    train.main(["fit", "--config", str(config), *ON_VLLM, *how, *WITHOUT_VALIDATION])
    assert len(rewards(tmp_path, "only")) == 4 * 2 * 3


def test_validate_and_predict_give_the_builtin_engines_answers(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {}
    for name, more in {"builtin": [], "vllm": ON_VLLM}.items():
        config = write_config(tmp_path / name, shapes)
        train.main(["validate", "--config", str(config), *more])
        train.main(["predict", "--config", str(config), *more])
        (file,) = (tmp_path / name).rglob("predictions*.jsonl")
        answers[name] = file.read_text(encoding="utf-8")
    assert answers["vllm"] == answers["builtin"]  # greedy


def test_a_start_leaves_the_process_as_it_was() -> None:
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_num_threads()
    engine = VLLMEngine(VLLMSettings(max_length=512))
    engine(policy, prompts, features, 1, GenerationSettings(max_new_tokens=2), uniforms(2, 1, 2))
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.random.get_state()[1].tolist() == before[2]
    torch.set_num_threads(before[3] + 1)
    assert torch.get_num_threads() == before[3] + 1
    torch.set_num_threads(before[3])
    engine.release()  # nothing on a CPU
    assert len(engine(policy, prompts, features, 1, GenerationSettings(max_new_tokens=2), uniforms(2, 1, 2))) == 2
