"""Losses of two small runs, as they were when they were last looked at: whatever moves them must mean to.

``pytest tests/golden --update-golden`` writes them anew. Another processor adds up in another order, hence the
tolerance; on one machine they are equal to the last bit.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import train
from tests.runs import changed, grpo, stage, write_config

GOLDEN = Path(__file__).with_name("losses.json")
COLUMNS = ("train/loss", "train/grad_norm", "train/reward", "train/kl")

# three stages on the policy, inversion tasks and a reference; and several updates a rollout with a merger that learns
RUNS: dict[str, dict[str, Any]] = {
    "three stages": {
        "stages": [
            stage("explore", 3, **grpo(beta=0.04), mixture={"tvg": 0.6, "verb_completion": 0.4}),
            stage("imitate", 3, start_from="base", sft=True),
            stage("refine", 2, **grpo(beta=0.04)),
        ]
    },
    "four updates a rollout": {
        "policy": {"checkpoint": "tiny", "train_merger": True, "gradient_checkpointing": True},
        "stages": [
            stage("only", 6, **grpo(num_minibatches=2, num_iterations=2, generation={"max_new_tokens": 48})),
        ],
    },
}


def golden_run(name: str, folder: Path, shapes: Path) -> list[dict[str, float]]:
    """The logged numbers of every step of a run."""
    path = write_config(folder, shapes, **RUNS[name])
    logger = {"save_dir": str(folder), "name": "log", "version": ""}
    with changed(path) as config:
        config["trainer"] |= {
            "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": logger},
            "limit_val_batches": 0,
            "gradient_clip_val": 1.0,
        }
    train.main(["fit", "--config", str(path)])
    with (folder / "log" / "metrics.csv").open(encoding="utf-8", newline="") as rows:
        found = [{column: float(row[column]) for column in COLUMNS if row.get(column)} for row in csv.DictReader(rows)]
    return [row for row in found if row]


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_as_they_were(name: str, tmp_path: Path, shapes: Path, request: pytest.FixtureRequest) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    found = golden_run(name, tmp_path, shapes)
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps({**golden, name: found}, indent=1) + "\n", encoding="utf-8")
        pytest.skip(f"{GOLDEN.name} was written anew")
    assert len(found) == len(golden[name])
    for step, (row, expected) in enumerate(zip(found, golden[name], strict=True)):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-5), f"step {step}"
