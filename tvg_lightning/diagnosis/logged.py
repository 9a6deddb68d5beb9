"""The metrics that a run has logged, in any of the forms that it leaves them in, and what they say about learning."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.files import at, is_number, read_json, read_table

Metrics = Mapping[str, Sequence[tuple[int, float]]]  # steps and values by name, in their order
Scalar = tuple[str, int, float]  # name, step and value

LEAST_GAIN = 0.01  # of mIoU
LARGE_KL = 1.0  # nats a token
_EARLIER = "earlier-"  # runs that were moved aside
_OF_TRAINING = ("train/", "speed/")
_PLACEHOLDER = "hp_metric"  # Lightning's own, -1 for ever


def read_metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Everything that the newest fit logged: in TensorBoard's event files, else in ``metrics.csv``; and the summary.

    A folder or file without training, as a later ``validate`` or ``predict`` leaves it, counts only where there is no
    other. In one folder, what a later file says from its first step on takes the place of what an earlier one said of
    those steps: the fit went on from a checkpoint there, or began anew.

    A row of ``summary.json`` has no step: its number stands for it, under ``summary/mIoU``.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    rows = _of_the_fit(_folders(folder, "events.out.tfevents*"), _event_scalars) or _of_the_fit(
        _folders(folder, "metrics.csv"), _csv_scalars
    )
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    summary = folder / "summary.json"
    if summary.is_file():
        stages = read_json(summary)
        for number, row in enumerate(stages if isinstance(stages, list) else []):
            if isinstance(row, dict) and is_number(row.get("mIoU")):
                found.setdefault("summary/mIoU", []).append((number, float(row["mIoU"])))
    return found


def _folders(folder: Path, pattern: str) -> list[list[Path]]:
    """The files of this name by the folder that they lie in, oldest first; the folder with the newest of them first."""
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob(pattern), key=_written_at):
        if not any(part.startswith(_EARLIER) for part in path.relative_to(folder).parts):
            by_folder.setdefault(path.parent, []).append(path)
    return sorted(by_folder.values(), key=lambda files: -_written_at(files[-1]))


def _written_at(path: Path) -> float:
    return path.stat().st_mtime


def _of_the_fit(folders: Sequence[Sequence[Path]], read: Callable[[Path], list[Scalar]]) -> list[Scalar]:
    """The scalars of the first folder that tells of training; where none does, of the first that tells of anything."""
    fallback: list[Scalar] = []
    for files in folders:
        told = [scalars for scalars in map(read, files) if scalars]
        of_fit = [scalars for scalars in told if any(name.startswith(_OF_TRAINING) for name, _, _ in scalars)]
        if of_fit:
            return _joined(of_fit)
        fallback = fallback or _joined(told)
    return fallback


def _joined(files: Sequence[list[Scalar]]) -> list[Scalar]:
    """The scalars of files, oldest first; of steps that a later file tells, too, the later ones."""
    found: list[Scalar] = []
    for scalars in files:
        first = min(step for _, step, _ in scalars)
        found = [scalar for scalar in found if scalar[1] < first] + scalars
    return found


def _event_scalars(file: Path) -> list[Scalar]:
    """Name, step and value of every scalar; a file that is torn at its end gives what stands before."""
    return [
        (value.tag, int(event.step), float(make_ndarray(value.tensor)))
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars" and value.tag != _PLACEHOLDER
    ]


def _csv_scalars(file: Path) -> list[Scalar]:
    """The same of what Lightning's CSVLogger writes: a column a metric, and blanks where it was not logged."""
    return list(_of_table(file))


def _of_table(file: Path) -> Iterator[Scalar]:
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
