"""The benchmark for a GPU, small and on a CPU, without the packages that a bare GPU machine lacks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.step import PHASES

ROOT = Path(__file__).parents[2]
SECTIONS = ("attention", "policy", "full", "lora", "quickstart")


def bare(*sections: str) -> dict[str, Any]:
    """The output of ``tests.benchmarks.bare``, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", *sections]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """All sections, on a machine with five packages."""
    results: dict[str, Any] = bare(*SECTIONS)["results"]
    return results


def test_five_packages_are_enough() -> None:
    """All modules can be imported; what reads videos, scores sets or finds verbs is not there, nor is anything else."""
    found = bare()
    assert {"av", "decord", "scipy", "PIL", "lemminflect", "HanTa"} == set(found["stand_ins"])
    assert {*found["stand_ins"], "bitsandbytes", "jsonargparse", "matplotlib", "pytest"} <= set(found["hidden"])
    assert not {"torch", "numpy", "transformers", "accelerate"} & set(found["hidden"])


@pytest.mark.slow
def test_numbers_are_right_on_the_device(found: dict[str, Any]) -> None:
    assert gpu.is_good(found)
    assert 0 < found["attention"]["float32"]["error"] < found["attention"]["bfloat16"]["error"]


@pytest.mark.slow
def test_the_policy_is_the_same_on_the_device(found: dict[str, Any]) -> None:
    exact, rounded = (found["policy"][name] for name in ("float32", "bfloat16"))
    assert exact["logp_off"] < 1e-5 and exact["gradient_error"] < 1e-5 and exact["rollout_against_loss"] < 1e-4
    assert 0 < rounded["logp_off"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("section", ["full", "lora"])
def test_a_step_is_measured_beside_its_plan(found: dict[str, Any], section: str) -> None:
    assert set(found[section]["seconds"]) == {*PHASES, "naive loss and backward"}
    assert min(found[section]["share_of_matrix_peak"].values()) > 0
    assert set(found[section]["planned_gib"]) == {"rollout", "backward begins", "backward ends", "update"}


@pytest.mark.slow
def test_quickstart_steps_are_taken(found: dict[str, Any]) -> None:
    assert len(found["quickstart"]["losses"]) == 2


@pytest.mark.slow
def test_sections_fail_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One does not exist, one gets no time; the third is reported all the same, as JSON and in the table."""
    monkeypatch.setattr(gpu, "LIMITS_S", {"none": 60, "policy": 0.001, "machine": 60})
    out = tmp_path / "gpu.json"
    assert gpu.main(["--small", "--out", str(out)]) == 1
    found = json.loads(out.read_text(encoding="utf-8"))
    assert "invalid choice" in found["none"]["failed"] and "not done" in found["policy"]["failed"]
    assert found["machine"]["bfloat16_tflops"] > 0
    assert "| machine | torch |" in capsys.readouterr().out


def test_all_sections_fit_in_nine_minutes() -> None:
    assert sum(gpu.LIMITS_S.values()) <= 9 * 60


def test_numbers_out_of_bounds_are_no_success() -> None:
    assert gpu.is_good({"attention": {"float32": {"within": True}, "took_s": 1.0}})
    assert not gpu.is_good({"attention": {"float32": {"within": False}}})
    assert not gpu.is_good({"policy": {"failed": "no GPU"}})
