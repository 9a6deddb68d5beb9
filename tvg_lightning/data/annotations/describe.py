"""A description of a file of annotations in words and numbers: what was done to it and where, and its lengths."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from tvg_lightning.data.annotations.records import Record
from tvg_lightning.data.annotations.report import Note, ReadReport, ReadResult
from tvg_lightning.files import Location
from tvg_lightning.schema import Sample, Span

ROUNDINGS_S = (0.001, 0.05)
QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}


def describe(records: Sequence[Record], result: ReadResult, examples: int = 3) -> str:
    """The report with ``examples`` locations of every reason, then numbers of windows, lengths, repetitions."""
    report, samples = result.report, result.samples
    counts = f"{report.num_fixed} fixed, {report.num_clipped} clipped, {report.num_refused} refused"
    lines = [
        report.path,
        f"{len(records)} records of {len({record.video for record in records})} videos",
        f"{report.num_read} read, {counts}",
        *_reasons(records, report, examples),
        "",
        f"windows a query: {_window_counts(samples)}",
        f"queries asked again of the same video: {_repetitions(records)}",
    ]
    lines += [f"{words}: {num}" for words, num in _more_counts(records, samples) if num]
    return "\n".join([*lines, "", *_lengths(samples)]) + "\n"


def durations_s(samples: Sequence[Sample]) -> list[float]:
    """One duration a video, or one a part where files are cut."""
    return list({(sample.video, sample.cut): sample.duration_s for sample in samples}.values())


def _reasons(records: Sequence[Record], report: ReadReport, examples: int) -> Iterator[str]:
    for what, notes in (("fixed", report.fixed), ("noted", report.noted), ("refused", report.refused)):
        for why, num in Counter(why for _, why in notes).most_common():
            yield _reason(what, why, num, [_name(location) for location, other in notes if other == why], examples)
    if report.clipped:
        beyond_s = _beyond_s(records, report.clipped)
        why = f"window beyond its video, by up to {max(beyond_s):.2f} s{_far(beyond_s)}"
        changes = [f"{_name(location)} {change}" for location, change in report.clipped]
        yield _reason("clipped", why, len(changes), changes, examples)


def _reason(what: str, why: str, num: int, locations: Sequence[str], examples: int) -> str:
    rest = "; …" if len(locations) > examples else ""
    return f"  {what:<8}{why}: {num}" + (f" ({'; '.join(locations[:examples])}{rest})" if examples else "")


def _name(location: Location) -> str:
    return f"line {location}" if isinstance(location, int) else location


def _far(beyond_s: Sequence[float]) -> str:
    """Counts of those further outside than rounding explains, of a float and of a published number; "" where all are.

    >>> _far([1e-14, 0.01, 0.3]), _far([0.3, 2.0])
    (' (2 by more than 0.001 s, 1 by more than 0.05 s)', '')
    """
    nums = [len(beyond_s), *(sum(seconds > limit_s for seconds in beyond_s) for limit_s in ROUNDINGS_S)]
    fewer = [(num, limit_s) for (more, num), limit_s in zip(pairwise(nums), ROUNDINGS_S, strict=True) if num < more]
    return f" ({', '.join(f'{num} by more than {limit_s:g} s' for num, limit_s in fewer)})" if fewer else ""


def _beyond_s(records: Sequence[Record], clipped: Sequence[Note]) -> list[float]:
    """The seconds by which each window that was clipped lies outside of its video."""
    locations = {location for location, _ in clipped}
    beyond_s = [
        max(window.end_s - record.duration_s, -window.start_s)
        for record in records
        if record.location in locations and record.duration_s is not None
        for window in record.windows or ()
    ]
    return [seconds for seconds in beyond_s if seconds > 0]


def _window_counts(samples: Sequence[Sample]) -> str:
    """
    >>> _window_counts([Sample("1", "a.mp4", 9.0, "q", ()), Sample("2", "a.mp4", 9.0, "q", None)])
    'none 1, unknown 1'
    """
    counts = Counter(-1 if sample.windows is None else len(sample.windows) for sample in samples)
    several = sum(num for windows, num in counts.items() if windows > 1)
    parts = [("one", counts[1]), ("several", several), ("none", counts[0]), ("unknown", counts[-1])]
    most = max(counts, default=0)
    up_to = f" (at most {most})" if most > 2 else ""
    return ", ".join(f"{name} {num}{up_to if name == 'several' else ''}" for name, num in parts if num) or "none"


def _more_counts(records: Sequence[Record], samples: Sequence[Sample]) -> Iterator[tuple[str, int]]:
    """Counts of things that some files have and others do not."""
    yield "queries about a part of a file", sum(record.cut is not None for record in records)
    yield "queries with blanks around them", sum(record.query != record.query.strip() for record in records)
    yield "queries that begin with a blank", sum(record.query[:1].isspace() for record in records)
    yield "videos without a length", len({record.video for record in records if record.duration_s is None})
    for kind, num in sorted(Counter(sample.kind for sample in samples if sample.kind).items()):
        yield f"queries of kind {kind}", num
    yield "samples with captions", sum(bool(sample.captions) for sample in samples)
    yield "samples with stored rollouts", sum(bool(sample.rollouts) for sample in samples)


def _repetitions(records: Sequence[Record]) -> str:
    """Number of records that repeat an earlier (video, query), and of such pairs with more than one truth."""
    truths: dict[tuple[str, Span | None, str], set[tuple[Span, ...] | None]] = {}
    for record in records:
        truths.setdefault((record.video, record.cut, record.query), set()).add(record.windows)
    differing = sum(len(windows) > 1 for windows in truths.values())
    more = f" ({differing} of the queries with different windows)" if differing else ""
    return f"{len(records) - len(truths)}{more}"


def _lengths(samples: Sequence[Sample]) -> Iterator[str]:
    windows = [(window, sample.duration_s) for sample in samples for window in sample.windows or ()]
    rows = {
        "video, s": durations_s(samples),
        "window, s": [window.end_s - window.start_s for window, _ in windows],
        "window / video": [(window.end_s - window.start_s) / duration_s for window, duration_s in windows],
        "words a query": [float(len(sample.query.split())) for sample in samples],
    }
    yield " " * 15 + "".join(f"{name:>10}" for name in [*QUANTILES, "mean"])
    for name, values in rows.items():
        if values:
            numbers = [*np.quantile(values, list(QUANTILES.values())), np.mean(values)]
            yield f"{name:<15}" + "".join(f"{number:>10.2f}" for number in numbers)
