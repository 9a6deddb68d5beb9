"""``python -m tvg_lightning report RUN_DIR``: one HTML page of a run, or of two beside each other."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tvg_lightning import machine
from tvg_lightning.diagnosis.logged import metric_findings
from tvg_lightning.files import is_number
from tvg_lightning.pages.pieces import Json
from tvg_lightning.pages.rendering import write_page
from tvg_lightning.pages.run_charts import charts_of
from tvg_lightning.pages.run_files import strips_of, videos_of
from tvg_lightning.pages.run_page import Shown, choose
from tvg_lightning.pages.run_reading import RunRead, read_run
from tvg_lightning.pages.tallies import most_asked

log = logging.getLogger(__name__)

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
    found = [read_run(run) for run in runs]
    for words in (words for one in found for words in one.wrong):
        log.warning("%s", words)
    queries = most_asked([one.tallies for one in found], NUM_QUERIES)
    shown = [choose(one.folder, number, one.tallies, queries) for number, one in enumerate(found)]
    films, of_films = strips_of(_videos(shown, [videos or videos_of(one.config) for one in found]))
    data = {
        "runs": [
            {"name": str(run), "groups": one.groups, "lists": one.lists, "queries": one.by_query}
            for run, one in zip(runs, shown, strict=True)
        ],
        "films": films,
    }
    notes = [*_sampled(found, shown), *(words for one in found for words in (*one.missing, *one.wrong)), *of_films]
    more = {
        "title": " and ".join(run.resolve().name for run in runs),
        "notes": notes,
        "runs": [_of_run(*one) for one in zip(found, shown, strict=True)],
        "charts": charts_of(
            [one.tallies for one in found],
            [one.metrics for one in found],
            [str(row.get("stage")) for row in found[0].summary],
        ),
        "has_groups": any(one.groups for one in shown),
        "versions": machine.this_machine().words(),
    }
    write_page(out, "report.html", ("view.js", "report.js"), data, **more)
    sys.stdout.write(f"{out}: {out.stat().st_size / 2**20:.1f} MiB. {notes[0]}\n")


def _sampled(found: Sequence[RunRead], shown: Sequence[Shown]) -> list[str]:
    """A sentence on how the groups in the page were drawn; none where there are none."""
    num, of = sum(len(one.groups) for one in shown), sum(len(one.tallies.groups) for one in found)
    words = (
        f"{sum(one.tallies.num_traces for one in found):,} completions were read, and all are counted; {num:,} of "
        f"{of:,} groups stand in this page: some evenly spread over the run, up to 20 steps of the queries asked most "
        "often, and the best, worst, most refined and latest failures, one a query."
    )
    return [words] if of else []


def _videos(shown: Sequence[Shown], folders: Sequence[Path | None]) -> dict[str, Path | None]:
    """The paths of the shown groups' videos by their names; a later run's only where no earlier one's is known."""
    wanted: dict[str, Path | None] = {}
    for one, folder in zip(shown, folders, strict=True):
        for group in one.groups.values():
            if wanted.get(group["video"]) is None:
                wanted[group["video"]] = None if folder is None else folder / group["video"]
    return wanted


def _of_run(read: RunRead, shown: Shown) -> Json:
    """Tables of one run: its stages, what keeps it from learning, its failures, its config."""
    rows = read.summary
    columns = [name for name in COLUMNS if any(is_number(row.get(name)) for row in rows)]
    cells = [[f"{row[name]:.4g}" if is_number(row.get(name)) else "–" for name in columns] for row in rows]
    sections = [
        {
            "stage": s.stage, "task": s.task.value, "num": f"{s.num_traces:,}",
            "steps": f"{s.first_step} – {s.last_step}",
            "reward": f"{s.reward[0]:.3f} → {s.reward[1]:.3f}",
            "iou": "–" if s.answer_iou is None else f"{s.answer_iou[0]:.3f} → {s.answer_iou[1]:.3f}",
        }
        for s in read.outcomes
    ]  # fmt: skip
    total = sum(shown.counts.values())
    return {
        "name": str(read.folder),
        "num": f"{read.tallies.num_traces:,}",
        "columns": columns,
        "rows": [(str(row.get("stage", "")), values) for row, values in zip(rows, cells, strict=True)],
        "sections": sections,
        "findings": [
            *(("whole run", f.words) for f in metric_findings(read.metrics)),
            *((f"{s.stage}, {s.task}", f.words) for s in read.outcomes for f in s.findings),
        ],
        "failures": [(words, f"{num:,}", round(100 * num / total, 1)) for words, num in shown.counts.most_common()],
        "config": read.config,
        "ran_with": read.ran_with,
        "is_recorded": (read.folder / machine.FILE).exists(),
    }
