"""``python -m tvg_lightning report RUN_DIR``: one HTML page of a run, or of two beside each other."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tvg_lightning.diagnosis.logged import metric_findings, read_metrics
from tvg_lightning.diagnosis.runs import diagnose, has_traces, trace_files
from tvg_lightning.diagnosis.sections import DiagnosisRule
from tvg_lightning.files import ends_torn, is_number
from tvg_lightning.machine import this_machine
from tvg_lightning.pages.pieces import Json
from tvg_lightning.pages.rendering import write_page
from tvg_lightning.pages.run_charts import charts_of
from tvg_lightning.pages.run_files import config_of, ran_with, strips_of, summary_of, videos_of
from tvg_lightning.pages.run_page import Shown, choose
from tvg_lightning.pages.tallies import Tallies, groups_in, most_asked
from tvg_lightning.progress import tracked

NUM_QUERIES = 8
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
    films, notes = strips_of(_videos(shown, [videos or videos_of(config) for config in configs]))
    summaries = [summary_of(run) for run in runs]
    data = {
        "runs": [
            {"name": str(run), "groups": one.groups, "lists": one.lists, "queries": one.by_query}
            for run, one in zip(runs, shown, strict=True)
        ],
        "films": films,
    }
    notes = [*_sampled(runs, found, shown), *notes, *_torn(runs)]
    more = {
        "title": " and ".join(run.resolve().name for run in runs),
        "notes": notes,
        "runs": [_of_run(*one) for one in zip(runs, found, shown, summaries, configs, strict=True)],
        "charts": charts_of(
            found, [read_metrics(run) for run in runs], [str(row.get("stage")) for row in summaries[0]]
        ),
        "has_groups": any(one.groups for one in shown),
        "versions": this_machine().words(),
    }
    write_page(out, "report.html", ("view.js", "report.js"), data, **more)
    sys.stdout.write(f"{out}: {out.stat().st_size / 2**20:.1f} MiB. {notes[0]}\n")


def _counted(run: Path) -> Tallies:
    """The counts of a run's traces, none where it has none; ValueError where there is no run at all."""
    tallies = Tallies()
    if has_traces(run):
        for group in tracked(groups_in(run), f"reading {run}", "group"):
            tallies.add(group)
    if not tallies.groups and not (summary_of(run) or read_metrics(run) or config_of(run)):
        raise ValueError(
            f"{_no_traces(run)}; nor is there a summary, metrics or a config: is it trainer.default_root_dir?"
        )
    return tallies


def _no_traces(run: Path) -> str:
    if has_traces(run):
        return f"{run}: its files of traces are empty, as of a run that ended before its first step"
    return f"{run}: no traces here, which steps of GRPO write and those of SFT do not"


def _sampled(runs: Sequence[Path], found: Sequence[Tallies], shown: Sequence[Shown]) -> list[str]:
    """Sentences on how the groups in the page were drawn, and on runs that have none."""
    none = [
        f"{_no_traces(run)}: there are no completions to show."
        for run, tallies in zip(runs, found, strict=True)
        if not tallies.groups
    ]
    num, of = sum(len(one.groups) for one in shown), sum(len(one.groups) for one in found)
    words = (
        f"{sum(one.num_traces for one in found):,} completions were read, and all are counted; {num:,} of {of:,} "
        "groups stand in this page: some evenly spread over the run, up to 20 steps of the queries asked most often, "
        "and the best, worst, most refined and latest failures, one a query."
    )
    return [*([words] if of else []), *none]


def _torn(runs: Sequence[Path]) -> list[str]:
    files = [path for run in runs if has_traces(run) for paths in trace_files(run).values() for path in paths]
    num = sum(map(ends_torn, files))
    return [f"{num} torn last line{'s' if num > 1 else ''} of a file of traces skipped."] if num else []


def _videos(shown: Sequence[Shown], folders: Sequence[Path | None]) -> dict[str, Path | None]:
    """The paths of the shown groups' videos by their names; a later run's only where no earlier one's is known."""
    wanted: dict[str, Path | None] = {}
    for one, folder in zip(shown, folders, strict=True):
        for group in one.groups.values():
            if wanted.get(group["video"]) is None:
                wanted[group["video"]] = None if folder is None else folder / group["video"]
    return wanted


def _of_run(run: Path, tallies: Tallies, shown: Shown, summary: Sequence[Json], config: str | None) -> Json:
    """Tables of one run: its stages, what keeps it from learning, its failures, its config."""
    found = diagnose(run, DiagnosisRule()) if tallies.groups else None
    columns = [name for name in COLUMNS if any(is_number(row.get(name)) for row in summary)]
    cells = [[f"{row[name]:.4g}" if is_number(row.get(name)) else "–" for name in columns] for row in summary]
    outcomes = found.sections if found is not None else ()
    of_metrics = found.of_metrics if found is not None else metric_findings(read_metrics(run))
    sections = [
        {
            "stage": s.stage, "task": s.task.value, "num": f"{s.num_traces:,}",
            "steps": f"{s.first_step} – {s.last_step}",
            "reward": f"{s.reward[0]:.3f} → {s.reward[1]:.3f}",
            "iou": "–" if s.answer_iou is None else f"{s.answer_iou[0]:.3f} → {s.answer_iou[1]:.3f}",
        }
        for s in outcomes
    ]  # fmt: skip
    total = sum(shown.counts.values())
    return {
        "name": str(run),
        "num": f"{tallies.num_traces:,}",
        "columns": columns,
        "rows": [(str(row.get("stage", "")), values) for row, values in zip(summary, cells, strict=True)],
        "sections": sections,
        "findings": [
            *(("whole run", f.words) for f in of_metrics),
            *((f"{s.stage}, {s.task}", f.words) for s in outcomes for f in s.findings),
        ],
        "failures": [(words, f"{num:,}", round(100 * num / total, 1)) for words, num in shown.counts.most_common()],
        "config": config,
        "ran_with": ran_with(run),
    }
