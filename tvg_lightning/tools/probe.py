"""``python -m tvg_lightning probe``: which videos can be read, by what, and what they are; exit status 1 if not all."""

import sys
from collections import Counter
from dataclasses import asdict
from json import dumps
from pathlib import Path

from tvg_lightning.data.probing import FileReport, video_files
from tvg_lightning.data.workers.pool import LONGEST_TIMEOUT_S, ClipPool
from tvg_lightning.progress import Progress


def main(paths: list[Path], json: bool = False, num_workers: int = 2, timeout_s: float = 60.0) -> None:
    """Try every video before a long job does; the exit status is 1 where one cannot be read, 0 where all can.

    Args:
        paths: files and folders.
        json: one JSON object a file, and one with the summary, instead of text.
        num_workers: files tried at once, each in a process of its own.
        timeout_s: a file that takes longer is given up; at most a day.
    """
    if num_workers < 1:
        raise ValueError(f"--num_workers must be at least 1, not {num_workers}")
    if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
        raise ValueError(f"--timeout_s must be above 0 and at most a day, 86400, not {timeout_s}")
    files = video_files(paths)
    reports: list[FileReport] = []
    with ClipPool(num_workers, timeout_s) as pool, Progress("probing", len(files), "file") as progress:
        for future in [pool.probe(str(file)) for file in files]:
            reports.append(future.result())
            progress.write(dumps(asdict(reports[-1])) if json else line(reports[-1]), sys.stdout)
            progress.update()
    summary = {
        "num_files": len(reports),
        "num_ok": sum(report.ok for report in reports),
        "num_bad": sum(not report.ok for report in reports),
        "backends": dict(Counter(report.backend for report in reports if report.ok)),
        "duration_s": sum(report.duration_s or 0.0 for report in reports),
    }
    backends = ", ".join(f"{num} by {name}" for name, num in Counter(r.backend for r in reports if r.ok).items())
    text = f"{summary['num_ok']} of {len(reports)} files can be read ({backends or 'none'})"
    sys.stdout.write((dumps({"summary": summary}) if json else text) + "\n")
    if summary["num_bad"]:
        sys.exit(1)


def line(report: FileReport) -> str:
    """One file in words."""
    if not report.ok:
        return f"BAD {report.path}: {report.error}"
    rate = "a single frame" if report.fps is None else f"{report.duration_s:.2f} s, {report.fps:.2f} fps"
    turn = f", turned by {report.rotation}" if report.rotation else ""
    return f"ok  {report.path}: {report.codec} {report.width}x{report.height}{turn}, {rate}, by {report.backend}"
