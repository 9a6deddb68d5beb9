"""``python -m tvg_lightning traces RUN``: page and filter what a policy thought, a group a screen."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain, islice
from json import dumps
from pathlib import Path
from typing import Literal

from tvg_lightning.browsing.pager import keys, page
from tvg_lightning.browsing.screens import Look, screen
from tvg_lightning.browsing.selection import FailureName, Group, Selection, selected
from tvg_lightning.prompts import read_templates
from tvg_lightning.schema import AnswerFormat, Method, MethodName, TaskName

Order = Literal["step", "best", "worst"]
_FILE_WIDTH = 120  # where there is no terminal to ask


def main(
    runs: list[Path], json: bool = False, stage: str | None = None, task: TaskName | None = None,
    kind: str | None = None, sample: str | None = None, query: str | None = None, failure: FailureName | None = None,
    min_iou: float | None = None, max_iou: float | None = None, min_reward: float | None = None,
    max_reward: float | None = None, first_step: int | None = None, last_step: int | None = None,
    order: Order = "step", limit: int | None = None, texts: bool = True, method: MethodName | None = None,
    thought: bool | None = None, prompts: Path | None = None,
) -> None:  # fmt: skip
    """Show all completions of a prompt together, with their time lines, rewards, advantages and failures.

    On a terminal a group a screen: space and b turn pages, t shows and hides the texts, q ends. Into a pipe or a file
    all groups follow each other. A group is shown where one of its completions passes; > marks those that do.

    Args:
        runs: folders of runs (trainer.default_root_dir).
        json: one JSON object a line for every completion that passes: the fields of its trace, run, failure, detail.
        stage: only completions of this stage, such as explore (default: every stage).
        task: only completions of this task (default: every task).
        kind: only this kind of question, such as relation; older traces do not tell it (default: every kind).
        sample: only the sample with this id (default: every sample).
        query: only queries with this text in them, in capitals or not (default: any).
        failure: only this failure. format: out of its format; no_answer: no time can be read; copied: the times of
            the prompt's example; other_event: IoU of 0.5 or more with what another query on the video asks for;
            loose_edges: IoU from 0.1 to below 0.5; missed: IoU below 0.1; none: nothing of these (default: any
            or none).
        min_iou: only answers whose IoU is at least this, from 0 to 1 (default: any, also without one).
        max_iou: only answers whose IoU is at most this, from 0 to 1 (default: any, also without one).
        min_reward: only completions whose weighted reward is at least this (default: any).
        max_reward: only completions whose weighted reward is at most this (default: any).
        first_step: only from this step of the run on, counted from 0 (default: the first).
        last_step: only up to this step, itself included (default: the last).
        order: step: as they were sampled; best and worst: by the highest or lowest reward that passes.
        limit: at most so many groups (default: all).
        texts: show the completions' texts below their time lines.
        method: the format of traces that do not say theirs, as older ones (default: those are not judged by it).
        thought: the answers in those stand behind a thought (default: as the method has it).
        prompts: the file of data.prompts, where the run had one; times copied from it are a failure (default: those of
            the format).
    """
    if method is None and (thought is not None or prompts is not None):
        raise ValueError("--thought and --prompts need --method: they belong to a format")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be at least 1, not {limit}")
    form = None if method is None else AnswerFormat(Method(method), thought)
    templates = None if prompts is None or form is None else read_templates(prompts, form)
    selection = Selection(
        stage, task, kind, sample, query, failure, min_iou, max_iou, min_reward, max_reward, first_step, last_step
    )
    groups = ((run, group) for run in runs for group in selected(run, selection, form, templates))
    found = islice(ordered(groups, order), limit)
    try:
        num_shown = _write_json(found) if json else _show((group for _, group in found), texts)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has seen enough; what is still buffered must not fail a second time when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if not num_shown and not json:
        raise ValueError("no completion passes all filters; leave one out, or ask for another value")


def ordered(groups: Iterator[tuple[Path, Group]], order: Order) -> Iterator[tuple[Path, Group]]:
    """The groups by the highest (best) or lowest (worst) reward of those that passed; step leaves them as they come."""
    if order == "step":
        return groups
    sign = -1.0 if order == "best" else 1.0
    return iter(sorted(groups, key=lambda one: min(sign * j.trace.reward for j in one[1] if j.is_chosen)))


def _write_json(found: Iterator[tuple[Path, Group]]) -> int:
    num = 0
    for run, group in found:
        num += 1
        for trace, verdict, is_chosen in group:
            if is_chosen:
                told = {"failure": verdict.failure, "detail": verdict.detail}
                sys.stdout.write(dumps({"run": str(run), **asdict(trace), **told}) + "\n")
    return num


def _show(groups: Iterator[Group], has_texts: bool) -> int:
    """A group a screen where somebody sits at a terminal, else all of them; their number."""
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if sys.stdout.isatty() and sys.stdin.isatty():
        first = next(groups, None)  # what is wrong is said before the screen is cleared
        if first is None:
            return 0
        look = Look(is_coloured=is_coloured, has_texts=has_texts)
        with keys() as key:
            num = page(chain([first], groups), look, _size, key, sys.stdout)
        sys.stdout.write("\n")
        return num
    num, look = 0, Look(_FILE_WIDTH, is_coloured, has_texts)
    for group in groups:
        num += 1
        sys.stdout.write("\n".join([*screen(group, look), "", ""]))
    return num


def _size() -> tuple[int, int]:
    columns, lines = shutil.get_terminal_size()
    return columns, lines
