"""``python -m tvg_lightning diagnose RUN``: why a reward stays at 0, or a run does not learn, in plain sentences."""

import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from json import dumps
from pathlib import Path
from textwrap import fill

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.diagnosis.runs import Diagnosis, diagnose
from tvg_lightning.diagnosis.sections import DiagnosisRule, Outcome
from tvg_lightning.prompts import read_templates
from tvg_lightning.schema import AnswerFormat, Method, MethodName

log = logging.getLogger(__name__)

_WIDTH = 110


def main(
    runs: list[Path],
    json: bool = False,
    method: MethodName | None = None,
    thought: bool | None = None,
    prompts: Path | None = None,
    rule: DiagnosisRule = DiagnosisRule(),  # noqa: B008  # frozen
) -> None:
    """Read the traces and metrics of runs, and say what keeps each from learning, with counts and examples.

    By stage and task; what explains most of the completions stands first. What traces do not tell is not judged.

    Args:
        runs: the folders of runs (trainer.default_root_dir).
        json: print one JSON object a run instead of text.
        method: the format of traces that do not say theirs, as older ones (default: those cannot be judged by it).
        thought: the answers in those stand behind a thought (default: as the method has it).
        prompts: the file of data.prompts, where the run had one; its examples are looked for in answers
            (default: those of the format).
        rule: thresholds from which something is reported.
    """
    if method is None and (thought is not None or prompts is not None):
        raise ValueError("--thought and --prompts need --method: they belong to a format")
    form = None if method is None else AnswerFormat(Method(method), thought)
    templates = None if prompts is None or form is None else read_templates(prompts, form)
    for run in runs:
        found = diagnose(run, rule, form, templates)
        for note in found.notes:
            log.warning("%s", note)
        sys.stdout.write(dumps({"run": str(run), **asdict(found)}) if json else "\n".join(report(run, found)))
        sys.stdout.write("\n")


def report(run: Path, found: Diagnosis) -> Iterator[str]:
    """The lines of the report."""
    torn = f", {found.num_torn} torn last lines skipped" if found.num_torn else ""
    yield f"{run}: {found.num_traces:,} completions{torn}, {found.num_metrics} metrics"
    if not found.num_findings:
        yield "Nothing found: no count is beyond what a run that learns shows."
    if found.of_metrics:
        yield "\nmetrics"
        for number, finding in enumerate(found.of_metrics, start=1):
            yield from _told(number, finding)
    for section in found.sections:
        yield f"\n{_head(section)}"
        for number, finding in enumerate(section.findings, start=1):
            yield from _told(number, finding)
        if not section.findings:
            yield "  nothing found"
        yield from (f"  not judged: {words}" for words in section.not_judged)


def _head(section: Outcome) -> str:
    numbers = f"reward {section.reward[0]:.3f} at first, {section.reward[1]:.3f} at last"
    if section.answer_iou is not None:
        numbers += f"; IoU {section.answer_iou[0]:.3f}, {section.answer_iou[1]:.3f}"
    steps = f"steps {section.first_step} to {section.last_step}"
    return (
        f"{section.stage}, {section.task}: {section.num_traces:,} completions in {section.num_groups:,} groups, "
        f"{steps}; {numbers}"
    )


def _told(number: int, finding: Finding) -> Iterator[str]:
    yield fill(finding.words, _WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     ")
    for example in finding.examples:
        yield f"       {example.sample_id}, step {example.step}: {example.text}"
