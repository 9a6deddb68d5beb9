"""All that the page of a run needs of its folder, read once; a file that cannot be read costs its own part alone."""

from dataclasses import dataclass
from pathlib import Path

from tvg_lightning.diagnosis.logged import OF_SUMMARY, SUMMARY, Metrics, read_metrics, read_summary
from tvg_lightning.diagnosis.runs import groups_in, has_traces
from tvg_lightning.diagnosis.sections import DiagnosisRule, Outcome, Sections
from tvg_lightning.pages.pieces import Json
from tvg_lightning.pages.run_files import config_of, ran_with
from tvg_lightning.pages.tallies import Tallies
from tvg_lightning.progress import tracked

_NO_CHARTS = "there are no charts of loss, mIoU, speed and memory"


@dataclass(frozen=True, slots=True)
class RunRead:
    """All that a run has left.

    ``wrong``: a sentence on each file that cannot be read; ``missing``: on each that is not there.
    """

    folder: Path
    tallies: Tallies
    outcomes: tuple[Outcome, ...]
    metrics: Metrics
    summary: list[Json]
    config: str | None
    ran_with: list[str]
    wrong: list[str]
    missing: list[str]


def read_run(folder: Path) -> RunRead:
    """Read a run; ValueError where there is none: no traces, metrics, summary, config or starts."""
    tallies, sections = Tallies(), Sections(DiagnosisRule())
    wrong: list[str] = []
    has_files = has_traces(folder)
    if has_files:
        for group in tracked(groups_in(folder, wrong), f"reading {folder}", "group"):
            tallies.add(group)
            sections.add(group)
    nothing = _no_groups(folder, has_files, bool(wrong))
    metrics, summary = read_metrics(folder, wrong), read_summary(folder, wrong)
    config, starts = config_of(folder, wrong), ran_with(folder, wrong)
    if not (tallies.groups or metrics or summary or config or starts or wrong):
        raise ValueError(f"{nothing}; nor is there a summary, metrics or a config: is it trainer.default_root_dir?")
    missing = [] if tallies.groups else [f"{nothing}: there are no completions to show."]
    if not (folder / SUMMARY).exists():
        missing.append(f"{folder}: no {SUMMARY}, which a stage that is validated writes: there is no table of stages.")
    if all(name.startswith(f"{OF_SUMMARY}/") for name in metrics):
        missing.append(
            f"{folder}: no metrics that can be read, in event files of TensorBoard or in metrics.csv: {_NO_CHARTS}."
        )
    wrong = list(dict.fromkeys(wrong))  # the summary is one of the metrics, too
    return RunRead(folder, tallies, sections.outcomes(), metrics, summary, config, starts, wrong, missing)


def _no_groups(folder: Path, has_files: bool, is_wrong: bool) -> str:
    if is_wrong:
        return f"{folder}: no completion can be read of its files of traces"
    if has_files:
        return f"{folder}: its files of traces are empty, as of a run that ended before its first step"
    return f"{folder}: no traces here, which steps of GRPO write and those of SFT do not"
