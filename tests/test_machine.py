"""The record of a machine: what this one is, which commit a checkout is at, and starts that add up in a file."""

import json
import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tvg_lightning.machine import FILE, commit_of, read_starts, record_start, this_machine


def test_this_machine_as_the_system_tells_it() -> None:
    found = this_machine(num_processes=3)
    assert (found.python, found.versions["torch"], found.num_processes) == (
        platform.python_version(), torch.__version__, 3
    )  # fmt: skip
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        kib = int(meminfo.read_text().split()[1])
        assert found.memory_gib == pytest.approx(kib / 2**20, abs=0.06)
    assert 1 <= found.num_cpus <= (os.cpu_count() or 1) and found.cpu
    assert len(found.gpus) == torch.cuda.device_count()


def git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert commit_of(tmp_path) == commit
    (tmp_path / "other").write_text("not known to git")
    assert commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"{commit}-changed"
    (tmp_path / "site-packages").mkdir()
    assert commit_of(tmp_path / "site-packages") == ""  # installed inside another project's checkout


def test_no_git_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) == ""


def test_starts_add_up(tmp_path: Path) -> None:
    assert read_starts(tmp_path) == []
    first = this_machine()
    second = replace(first, gpus=["A GPU, 80.0 GiB"])
    for start in (first, second):
        record_start(tmp_path, start)
    assert read_starts(tmp_path) == [first, second]
    assert "no GPU" in replace(first, gpus=[]).words() and second.words()[-1] == "A GPU, 80.0 GiB"


def test_starts_that_another_version_wrote_are_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[{"started": "now", "colour": "red"}]')
    record_start(tmp_path, this_machine())
    records = json.loads((tmp_path / FILE).read_text())
    assert records[0] == {"started": "now", "colour": "red"} and len(records) == 2
    with pytest.raises(ValueError, match="another version"):
        read_starts(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"started": "now"}]', "["])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=FILE):
        read_starts(tmp_path)
