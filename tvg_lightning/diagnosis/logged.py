"""The metrics that a run has logged, in any of the forms that it leaves them in, and what they say about learning."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.files import at, is_number, read_json, read_table

Metrics = Mapping[str, Sequence[tuple[int, float]]]  # steps and values by name, in their order

LEAST_GAIN = 0.01  # of mIoU
LARGE_KL = 1.0  # nats a token
_EARLIER = "earlier-"  # runs that were moved aside


def read_metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Everything that was logged: TensorBoard's newest event files, else the newest ``metrics.csv``, and the summary.

    A row of ``summary.json`` has no step: its number stands for it, under ``summary/mIoU``.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    rows = _event_scalars(_newest(folder, "events.out.tfevents*")) or _csv_scalars(_newest(folder, "metrics.csv")[:1])
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    summary = folder / "summary.json"
    if summary.is_file():
        stages = read_json(summary)
        for number, row in enumerate(stages if isinstance(stages, list) else []):
            if isinstance(row, dict) and is_number(row.get("mIoU")):
                found.setdefault("summary/mIoU", []).append((number, float(row["mIoU"])))
    return found


def _newest(folder: Path, pattern: str) -> list[Path]:
    """The files of this name in the folder that has the newest of them, oldest first."""
    files = [
        path
        for path in folder.rglob(pattern)
        if not any(part.startswith(_EARLIER) for part in path.relative_to(folder).parts)
    ]
    if not files:
        return []
    newest = max(files, key=lambda path: path.stat().st_mtime)
    return sorted((path for path in files if path.parent == newest.parent), key=lambda path: path.stat().st_mtime)


def _event_scalars(files: Sequence[Path]) -> list[tuple[str, int, float]]:
    """Name, step and value of every scalar; a file that is torn at its end gives what stands before."""
    found = []
    for file in files:
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.append((value.tag, int(event.step), float(make_ndarray(value.tensor))))
    return found


def _csv_scalars(files: Sequence[Path]) -> list[tuple[str, int, float]]:
    """The same of what Lightning's CSVLogger writes: a column a metric, and blanks where it was not logged."""
    return [scalar for file in files for scalar in _of_table(file)]


def _of_table(file: Path) -> Iterator[tuple[str, int, float]]:
    for line, row in read_table(file, ("step",)):
        with at(file, line):
            for name, value in row.items():
                if value and name != "step":
                    yield name, int(float(row["step"])), float(value)


# ---- findings, one a function


def no_gain(metrics: Metrics) -> Finding | None:
    """No split's mIoU, nor the summary's, ended more than 0.01 above its first value."""
    gains = {
        name.removesuffix("/mIoU"): (values[0][1], values[-1][1])
        for name, values in metrics.items()
        if name.endswith("/mIoU") and len(values) > 1
    }
    flat = {name: pair for name, pair in gains.items() if pair[1] < pair[0] + LEAST_GAIN}
    if not flat or len(flat) < len(gains):
        return None
    told = ", ".join(f"{name} {first:.3f} to {last:.3f}" for name, (first, last) in flat.items())
    words = f"mIoU did not rise on any split, from the first evaluation to the last: {told}."
    return Finding("no_gain", words, len(flat), len(gains), "splits", 1.0, {name: 1 for name in flat})


def no_gradient(metrics: Metrics) -> Finding | None:
    """Updates whose gradient was 0."""
    norms = _finite(metrics, "train/grad_norm")
    zero = [step for step, norm in norms if norm == 0.0]
    words = f"had a gradient of 0, such as that of step {zero[0]}: nothing was learned in them." if zero else ""
    return _of_steps("no_gradient", words, len(zero), len(norms))


def skipped_updates(metrics: Metrics) -> Finding | None:
    """Updates that were skipped because their gradient was not finite."""
    values = _finite(metrics, "train/skipped")
    skipped = [step for step, value in values if value > 0]
    words = (
        f"were skipped, as their gradient was not finite, such as step {skipped[0]}: lower the rate." if skipped else ""
    )
    return _of_steps("skipped_updates", words, len(skipped), len(values))


def far_from_reference(metrics: Metrics) -> Finding | None:
    """Steps whose KL to the reference is above 1 nat a token."""
    values = _finite(metrics, "train/kl")
    far = [(step, value) for step, value in values if value > LARGE_KL]
    words = (
        f"have a KL to the reference above {LARGE_KL:g} (up to {max(value for _, value in far):.2g}): lower "
        "optimizer.lr, or raise grpo.beta."
        if far
        else ""
    )
    return _of_steps("far_from_reference", words, len(far), len(values))


def bad_videos(metrics: Metrics) -> Finding | None:
    """Videos that could not be read and were passed over."""
    values = _finite(metrics, "train/data/bad_videos")
    most = max((value for _, value in values), default=0.0)
    if most < 1:
        return None
    words = f"{most:.0f} videos cannot be read (bad_videos.jsonl names them), and others were drawn in their place."
    return Finding("bad_videos", words, int(most), int(most), "videos", 0.0)


def metric_findings(metrics: Metrics) -> list[Finding]:
    """All findings, those that explain most first."""
    made = (f(metrics) for f in (no_gradient, skipped_updates, far_from_reference, no_gain, bad_videos))
    return sorted((found for found in made if found is not None), key=lambda found: -found.explains)


def _finite(metrics: Metrics, name: str) -> list[tuple[int, float]]:
    return [(step, value) for step, value in metrics.get(name, ()) if math.isfinite(value)]


def _of_steps(name: str, words: str, num: int, out_of: int) -> Finding | None:
    if num == 0:
        return None
    told = f"{num:,} of {out_of:,} logged steps ({num / out_of:.1%}) {words}"
    return Finding(name, told, num, out_of, "logged steps", num / out_of)
