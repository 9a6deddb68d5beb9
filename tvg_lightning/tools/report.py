"""``python -m tvg_lightning report RUN_DIR``: one HTML page of a run, or of two beside each other."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tvg_lightning.data.video import VideoError
from tvg_lightning.diagnosis.logged import read_metrics
from tvg_lightning.diagnosis.runs import diagnose, trace_files
from tvg_lightning.diagnosis.sections import DiagnosisRule
from tvg_lightning.files import ends_torn, is_number, read_json, read_text
from tvg_lightning.machine import read_starts, this_machine
from tvg_lightning.pages.curves import Curve, chart
from tvg_lightning.pages.films import read_strip
from tvg_lightning.pages.pieces import Json
from tvg_lightning.pages.rendering import write_page
from tvg_lightning.pages.run_page import Shown, choose
from tvg_lightning.pages.tallies import Tallies, groups_in, most_asked
from tvg_lightning.progress import tracked

NUM_QUERIES, MAX_VIDEOS = 8, 40
UP_TO_ONE = frozenset({"IoU", "refining", "groups of equal rewards", "format", "mixture drawn"})
CHARTS = ("reward", "reward parts", "IoU", "refining", "groups of equal rewards", "format", "length", "mixture drawn")
LOGGED = {"speed/tokens_per_s": "tokens a second", "speed/step_s": "seconds a step", "memory/": "memory, GiB"}
COLUMNS = (
    "mIoU",
    "R1@0.3",
    "R1@0.5",
    "R1@0.7",
    "format_rate",
    "refining_rate",
    "completion_length",
    "steps",
    "seconds",
)


def main(runs: list[Path], out: Path | None = None, videos: Path | None = None) -> None:
    """Write one HTML page of a run: stages, curves, groups of completions, failures, config; it opens offline.

    Of the completions a sample stands in the page, which says how it was drawn; curves and counts are of all of them.
    Of two runs the page shows both, with the same queries side by side.

    Args:
        runs: the folder of a run (trainer.default_root_dir), or of two.
        out: the file to write (default: report.html in the first run's folder).
        videos: the folder of the videos, for film strips (default: data.videos of the run's config).
    """
    if not 1 <= len(runs) <= 2:
        raise ValueError(f"report shows one run or two, not {len(runs)}")
    out = out or runs[0] / "report.html"
    found = [_counted(run) for run in runs]
    queries = most_asked(found, NUM_QUERIES)
    shown = [choose(run, number, found[number], queries) for number, run in enumerate(runs)]
    configs = [config_of(run) for run in runs]
    films, note = _films(shown, [videos or _videos_of(config) for config in configs])
    data = {
        "runs": [
            {"name": str(run), "groups": one.groups, "lists": one.lists, "queries": one.by_query}
            for run, one in zip(runs, shown, strict=True)
        ],
        "films": films,
    }
    more = {
        "title": " and ".join(run.resolve().name for run in runs),
        "notes": [_sampled(found, shown), *([note] if note else []), *_torn(runs)],
        "runs": [_of_run(*one) for one in zip(runs, found, shown, configs, strict=True)],
        "charts": _charts(runs, found),
        "versions": this_machine().words(),
    }
    write_page(out, "report.html", ("view.js", "report.js"), data, **more)
    sys.stdout.write(f"{out}: {out.stat().st_size / 2**20:.1f} MiB, {more['notes'][0]}\n")


def _counted(run: Path) -> Tallies:
    tallies = Tallies()
    for group in tracked(groups_in(run), f"reading {run}", "group"):
        tallies.add(group)
    if not tallies.groups:
        raise ValueError(f"{run}: its files of traces are empty: the run has ended before its first step")
    return tallies


def _sampled(found: Sequence[Tallies], shown: Sequence[Shown]) -> str:
    num, of = sum(len(one.groups) for one in shown), sum(len(one.groups) for one in found)
    return (
        f"{sum(one.num_traces for one in found):,} completions were read, and all are counted; {num:,} of {of:,} "
        "groups stand in this page: some evenly spread over the run, up to 20 steps of the queries asked most often, "
        "and the best, worst, most refined and latest failures, one a query."
    )


def _torn(runs: Sequence[Path]) -> list[str]:
    num = sum(ends_torn(path) for run in runs for paths in trace_files(run).values() for path in paths)
    return [f"{num} torn last line{'s' if num > 1 else ''} of a file of traces skipped."] if num else []


def config_of(run: Path) -> str | None:
    """The newest config that the run has written, as text; None where there is none."""
    files = [p for p in run.rglob("config.yaml") if not any(part.startswith("earlier-") for part in p.parts)]
    newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
    return None if newest is None else read_text(newest)


def _videos_of(config: str | None) -> Path | None:
    try:
        given: Any = yaml.safe_load(config or "")
    except yaml.YAMLError:
        return None
    data = given.get("data") if isinstance(given, dict) else None
    return Path(data["videos"]) if isinstance(data, dict) and isinstance(data.get("videos"), str) else None


def _films(shown: Sequence[Shown], folders: Sequence[Path | None]) -> tuple[Json, str]:
    """Film strips by video, of at most 40; and one sentence on those that are missing."""
    films: Json = {}
    wanted = {
        group["video"]: folder / group["video"]
        for one, folder in zip(shown, folders, strict=True)
        if folder is not None
        for group in one.groups.values()
    }
    for name, path in tracked(list(wanted.items())[:MAX_VIDEOS], "film strips", "video"):
        if path.is_file():
            try:
                films[name] = read_strip(path, num_frames=16, tokens=9).as_json()
            except VideoError:
                continue
    names = {group["video"] for one in shown for group in one.groups.values()}
    missing = len(names - films.keys())
    where = "give --videos" if not wanted else f"at most {MAX_VIDEOS} are drawn, or not found: see --videos"
    return films, f"{missing} of {len(names)} videos have no film strip here ({where})." if missing else ""


def _summary(run: Path) -> list[Json]:
    """The rows of a run's table; none where it has not written one."""
    rows = read_json(run / "summary.json") if (run / "summary.json").is_file() else []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _charts(runs: Sequence[Path], found: Sequence[Tallies]) -> list[Json]:
    stages = found[0].bands([str(row.get("stage")) for row in _summary(runs[0])])
    charts = []
    for name in CHARTS:
        curves = [curve for number, one in enumerate(found) for curve in one.curves(name, number)]
        charts.append(chart(name, curves, stages, 1.0 if name in UP_TO_ONE else None))
    logged = [read_metrics(run) for run in runs]
    for prefix, title in LOGGED.items():
        curves = [
            Curve(
                name.rpartition("/")[2], [(float(step), value) for step, value in values], number, found[number].silent
            )
            for number, metrics in enumerate(logged)
            for name, values in metrics.items()
            if name.startswith(prefix)
        ]
        if curves:
            charts.append(chart(title, curves, stages))
    return [one for one in charts if one["lines"]]


def _of_run(run: Path, tallies: Tallies, shown: Shown, config: str | None) -> Json:
    """Tables of one run: its stages, what keeps it from learning, its failures, its config."""
    found = diagnose(run, DiagnosisRule())
    rows = _summary(run)
    columns = [name for name in COLUMNS if any(is_number(row.get(name)) for row in rows)]
    cells = [[f"{row[name]:.4g}" if is_number(row.get(name)) else "–" for name in columns] for row in rows]
    sections = [
        {
            "stage": s.stage, "task": s.task.value, "num": f"{s.num_traces:,}",
            "steps": f"{s.first_step} – {s.last_step}",
            "reward": f"{s.reward[0]:.3f} → {s.reward[1]:.3f}",
            "iou": "–" if s.answer_iou is None else f"{s.answer_iou[0]:.3f} → {s.answer_iou[1]:.3f}",
        }
        for s in found.sections
    ]  # fmt: skip
    total = sum(shown.counts.values())
    return {
        "name": str(run),
        "num": f"{tallies.num_traces:,}",
        "columns": columns,
        "rows": [(str(row.get("stage", "")), values) for row, values in zip(rows, cells, strict=True)],
        "sections": sections,
        "findings": [
            *(("whole run", f.words) for f in found.of_metrics),
            *((f"{s.stage}, {s.task}", f.words) for s in found.sections for f in s.findings),
        ],
        "failures": [(words, f"{num:,}", round(100 * num / total, 1)) for words, num in shown.counts.most_common()],
        "config": config,
        "ran_with": _ran_with(run),
    }


def _ran_with(run: Path) -> list[str]:
    """One line a start of the run: when, on what machine, with what versions; one for starts that are alike."""
    starts = read_starts(run)
    by_words: dict[str, list[str]] = {}
    for start in starts:
        by_words.setdefault(" · ".join(start.words()), []).append(
            start.started.replace("T", " ").replace("+00:00", " UTC")
        )
    return [f"started {', '.join(times)}: {words}" for words, times in by_words.items()]
