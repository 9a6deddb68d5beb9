"""Another rollout engine by one config key."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

import train
from tests.test_train import grpo, stage, write_config
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.traces import read_traces

ANSWERS = ("<think>from 0.0 to 1.0</think><answer>0.0 to 1.0</answer>", "I do not know.", "")


def engine(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
    uniform_RT: Tensor | None = None,
) -> list[list[Completion]]:
    """The same answers to every prompt."""
    ids = [policy.text_to_ids(text) for text in ANSWERS[:num_generations]]
    return [
        [Completion(tuple(row), policy.ids_to_text(row), (0.0,) * len(row), truncated=False) for row in ids]
        for _ in prompts
    ]


def test_an_engine_by_its_name(tmp_path: Path, shapes: Path) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo())])
    train.main(["fit", "--config", str(config), "--model.init_args.engine", "tests.test_engine.engine"])
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    assert [trace.text for trace in read_traces(file)] == [*ANSWERS] * 4  # two steps of two prompts


def test_what_is_no_engine_is_refused(tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo())])
    with pytest.raises(SystemExit):
        train.main(["fit", "--config", str(config), "--model.init_args.engine", "tests.test_engine.nothing"])
    assert "engine" in capsys.readouterr().err
