"""The metrics that a run has logged, in any of the forms that it leaves them in, and what they say about learning."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.files import at, is_number, noted, read_json, read_table

Metrics = Mapping[str, Sequence[tuple[int, float]]]  # steps and values by name, in their order
Scalar = tuple[str, int, float]  # name, step and value

SUMMARY = "summary.json"  # in the folder of a run
OF_SUMMARY = "summary"  # before the slash of a metric that it tells
LEAST_GAIN = 0.01  # of mIoU
LARGE_KL = 1.0  # nats a token
_EARLIER = "earlier-"  # runs that were moved aside
_OF_TRAINING = ("train/", "speed/")
_PLACEHOLDER = "hp_metric"  # Lightning's own, -1 for ever


def read_metrics(folder: Path, notes: list[str]) -> dict[str, list[tuple[int, float]]]:
    """Everything that the newest fit logged: in TensorBoard's event files, else in ``metrics.csv``; and the summary.

    A folder or file without training, as a later ``validate`` or ``predict`` leaves it, counts only where there is no
    other. In one folder, what a later file says from its first step on takes the place of what an earlier one said of
    those steps: the fit went on from a checkpoint there, or began anew.

    A row of ``summary.json`` has no step: its number stands for it, under ``summary/mIoU``. Of a file that cannot be
    read to its end, what stands before counts, and a sentence is added to ``notes``.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    rows = _of_the_fit(_folders(folder, "events.out.tfevents*"), lambda file: _event_scalars(file, notes))
    rows = rows or _of_the_fit(_folders(folder, "metrics.csv"), lambda file: _csv_scalars(file, notes))
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    for number, row in enumerate(read_summary(folder, notes)):
        if is_number(row.get("mIoU")):
            found.setdefault(f"{OF_SUMMARY}/mIoU", []).append((number, float(row["mIoU"])))
    return found


def read_summary(folder: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The rows of a run's table, one a stage; none where it has written none, or where ``notes`` are added to."""
    file = folder / SUMMARY
    if not file.exists():
        return []
    with noted(notes, "The table of stages is left out: restore the file, or remove it."):
        rows = read_json(file)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{file}: not a list of objects, one a stage")
        return rows
    return []


def files_of(folder: Path, pattern: str) -> list[Path]:
    """The files of this name in the folder of a run and those below, oldest first, but for runs moved aside."""
    found = [p for p in folder.rglob(pattern) if not any(n.startswith(_EARLIER) for n in p.relative_to(folder).parts)]
    return sorted(found, key=_written_at)


def _folders(folder: Path, pattern: str) -> list[list[Path]]:
    """The same by the folder that they lie in; the folder with the newest of them first."""
    by_folder: dict[Path, list[Path]] = {}
    for path in files_of(folder, pattern):
        by_folder.setdefault(path.parent, []).append(path)
    return sorted(by_folder.values(), key=lambda files: -_written_at(files[-1]))


def _written_at(path: Path) -> float:
    return path.lstat().st_mtime  # of a link that leads nowhere, too: who reads it says so


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


def _event_scalars(file: Path, notes: list[str]) -> list[Scalar]:
    """Name, step and value of every scalar; a file that is torn at its end gives what stands before."""
    found: list[Scalar] = []
    with noted(notes, "What it logged behind that is missing here: if the file was copied, copy it again."):
        num, size = 0, file.stat().st_size if file.is_file() else 0  # a run that goes on appends meanwhile
        for event in _events(file):
            num += 1
            found += [
                (value.tag, int(event.step), float(make_ndarray(value.tensor)))
                for value in event.summary.value
                if value.metadata.plugin_data.plugin_name == "scalars" and value.tag != _PLACEHOLDER
            ]
        num_whole, is_torn = _records(file, size)
        if num == 0 or num < num_whole + is_torn:
            raise ValueError(f"{file}: no whole event file of TensorBoard: it is torn or damaged behind record {num:,}")
    return found


def _events(file: Path) -> Iterator[Any]:
    """TensorBoard's own reader, which stops without a word at a record that is torn or damaged."""
    if not file.is_file():
        raise ValueError(f"{file}: not a file that can be read")
    try:
        yield from EventFileLoader(str(file)).Load()
    except DecodeError as error:
        raise ValueError(f"{file}: no event file of TensorBoard ({error})") from error


def _records(file: Path, size: int) -> tuple[int, bool]:
    """The number of whole records in the first ``size`` bytes, and whether a torn one follows.

    By their lengths, which stand before them: 8 bytes, and 4 of a checksum.
    """
    num = end = 0
    with file.open("rb") as records:
        while end < size:
            length = int.from_bytes(records.read(12)[:8], "little")
            end += 12 + length + 4  # and a checksum behind it
            if end > size:
                return num, True
            records.seek(end)
            num += 1
    return num, False


def _csv_scalars(file: Path, notes: list[str]) -> list[Scalar]:
    """The same of what Lightning's CSVLogger writes: a column a metric, and blanks where it was not logged."""
    found: list[Scalar] = []
    with noted(notes, "What stands behind it is missing here: repair the line, or restore the file."):
        for line, row in read_table(file, ("step",)):
            with at(file, line):
                found += _of_row(row)
    return found


def _of_row(row: Mapping[Any, Any]) -> list[Scalar]:
    if None in row:
        raise ValueError("more cells than columns")
    step = float(row["step"])
    if not step.is_integer():
        raise ValueError(f"step: expected a whole number, got {row['step']}")
    return [(name, int(step), float(value)) for name, value in row.items() if value and name and name != "step"]


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
