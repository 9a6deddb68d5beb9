"""The machine of a run: versions, the commit of a checkout, processors and memory; one record each time it started."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tvg_lightning.files import atomic_write, is_number, read_json

FILE = "machine.json"  # in the folder of a run
_GIB = 2**30
_LIBRARIES = ("torch", "transformers", "lightning", "peft", "bitsandbytes")
_TEXTS = ("started", "python", "system", "commit", "cpu")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and what is installed on it; of several machines that share a run, the first process's.

    ``started``: in UTC. ``commit``: of the checkout that the package lies in, ``-changed`` behind it where files that
    git knows were changed; "" where there is none. ``gpus``: name and memory of each that this process sees.
    """

    started: str
    python: str
    system: str
    versions: dict[str, str]
    commit: str
    cpu: str
    num_cpus: int
    memory_gib: float
    gpus: list[str]
    num_processes: int = 1

    def words(self) -> list[str]:
        """The machine as short pieces of text."""
        package = f"tvg-lightning {self.versions.get('tvg-lightning', 'from a checkout')}"
        return [
            package + (f", commit {self.commit}" if self.commit else ""),
            f"Python {self.python}",
            *(f"{name} {number}" for name, number in self.versions.items() if name != "tvg-lightning"),
            self.system,
            f"{self.cpu}, {self.num_cpus} cores, {self.memory_gib:g} GiB",
            *(self.gpus or ["no GPU"]),
            *([f"{self.num_processes} processes"] if self.num_processes > 1 else []),
        ]


def this_machine(num_processes: int = 1) -> Machine:
    """The machine that this process runs on, now."""
    installed: dict[str, str] = {}
    for name in ("tvg-lightning", *_LIBRARIES):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return Machine(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} on {platform.machine()}",
        versions=installed,
        commit=commit_of(Path(__file__).resolve().parents[1]),
        cpu=_cpu(),
        num_cpus=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        gpus=_gpus(),
        num_processes=num_processes,
    )


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, ``-changed`` behind it where it is not what was committed; "" where it is none.

    A package that is installed inside another project's checkout has none.
    """
    root = _git(checkout, "rev-parse", "--show-toplevel")
    if not root or Path(root).resolve() != checkout.resolve():
        return ""
    commit = _git(checkout, "rev-parse", "--short=12", "HEAD")
    changed = commit and _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-changed" if changed else commit


def _git(folder: Path, *args: str) -> str:
    """Output of git; "" where it says no, takes too long or is not installed."""
    try:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [f"{one.name}, {one.total_memory / _GIB:.1f} GiB" for one in found]


def record_start(folder: Path, machine: Machine) -> None:
    """Add a start to those of a run, whatever version wrote them; the file is there whole or not at all."""
    starts = [*_records(folder / FILE), asdict(machine)]
    with atomic_write(folder / FILE) as part:
        part.write_text(json.dumps(starts, indent=1) + "\n", encoding="utf-8")


def read_starts(folder: Path) -> list[Machine]:
    """The starts of a run, oldest first; none of a run that recorded none. ValueError for a file that is not ours."""
    known = {field.name for field in fields(Machine)}
    given = _records(folder / FILE)
    if any(start.keys() != known for start in given):
        raise ValueError(f"{folder / FILE}: another version of the package recorded what this one cannot show")
    if not all(map(_is_start, given)):
        raise ValueError(f"{folder / FILE}: a start with a value of another kind; move the file away")
    return [Machine(**start) for start in given]


def _is_start(start: dict[str, Any]) -> bool:
    """True where every value is of its field's kind."""
    versions, gpus = start["versions"], start["gpus"]
    if not isinstance(versions, dict) or not isinstance(gpus, list):
        return False
    texts = [*(start[name] for name in _TEXTS), *versions.values(), *gpus]
    numbers = [start[name] for name in ("num_cpus", "memory_gib", "num_processes")]
    return all(isinstance(text, str) for text in texts) and all(map(is_number, numbers))


def _records(file: Path) -> list[dict[str, Any]]:
    try:
        given = read_json(file) if file.exists() else []
    except ValueError as error:
        raise ValueError(f"{error}; move the file away") from error
    if not isinstance(given, list) or not all(isinstance(start, dict) for start in given):
        raise ValueError(f"{file}: not the starts of a run; move the file away")
    return given
