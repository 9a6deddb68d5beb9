"""``python -m tvg_lightning annotate``: a teacher's reasoning for every query, from any OpenAI-compatible endpoint."""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.video import VideoError
from tvg_lightning.data.video_files import VideoMap, read_video_map
from tvg_lightning.files import refuse_existing
from tvg_lightning.progress import Progress, tracked
from tvg_lightning.schema import AnswerFormat, Method, MethodName, Sample
from tvg_lightning.teacher.annotator import Annotator
from tvg_lightning.teacher.endpoint import Endpoint
from tvg_lightning.teacher.ledger import Ledger
from tvg_lightning.teacher.purse import Purse
from tvg_lightning.teacher.questions import Question, make_question
from tvg_lightning.teacher.results import collect
from tvg_lightning.teacher.settings import BudgetSettings, EndpointSettings, QuestionSettings


def main(
    annotations: Path,
    videos: Path,
    out: Path,
    endpoint: EndpointSettings,
    method: MethodName = "tvg_r1",
    thought: bool | None = None,
    question: QuestionSettings = QuestionSettings(),  # noqa: B008  # frozen
    budget: BudgetSettings = BudgetSettings(),  # noqa: B008  # frozen
    video_map: Path | None = None,
    videos_outside: bool = False,
) -> None:
    """Ask a teacher every query; the same command goes on after any end, without paying twice. See docs/teacher.md.

    Args:
        annotations: the project's own JSONL.
        videos: folder of the videos.
        out: folder; gets ledger.jsonl (what was paid for), traces.jsonl (for data.targets) and refused.jsonl.
        endpoint: the server and how it is called.
        method: the method whose prompt and format are used.
        thought: ask for a thought before the answer (default: as the method has it).
        question: the request that is sent for a query.
        budget: limits over all runs into this folder.
        video_map: the file that data videos --map wrote (default: all videos lie at their names).
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request would bury the progress
    result = jsonl.read(annotations, videos_outside)
    sys.stdout.write(f"{result.report.summary()}\n")
    if not (out / "ledger.jsonl").exists():  # else they are this command's own
        refuse_existing(out / "traces.jsonl", out / "refused.jsonl")
    form = AnswerFormat(Method(method), thought)
    client = Endpoint(endpoint)
    if not videos.is_dir():
        raise ValueError(f"{videos}: there is no such folder of videos")
    files = read_video_map("video_map", video_map, videos)
    questions, unreadable = _questions(result.samples, form, videos, endpoint.model, question, files)
    with Ledger(out / "ledger.jsonl") as ledger:
        purse = Purse(budget, ledger.num_requests, ledger.tokens, question.max_tokens)
        annotator = Annotator(client, ledger, purse, question, form)
        asyncio.run(_run(annotator, questions))
        results = collect(result.samples, questions, unreadable, ledger.replies, annotator.set_aside, form)
        results.write(out / "traces.jsonl", out / "refused.jsonl")
    sys.stdout.write(f"{out}: {results.summary()}; spent: {purse.summary()}\n")
    if annotator.stopped is None:
        return
    rest = f"{annotator.stopped.reason}; {results.num_open} answers not asked for yet: run the same command to go on"
    if annotator.stopped.is_fault:
        raise ValueError(rest)
    sys.stdout.write(f"stopped: {rest}\n")


def _questions(
    samples: Sequence[Sample],
    form: AnswerFormat,
    videos: Path,
    model: str,
    settings: QuestionSettings,
    video_map: VideoMap,
) -> tuple[dict[str, Question], dict[str, str]]:
    """Questions and what keeps others from being put, both by sample id."""
    questions: dict[str, Question] = {}
    unreadable: dict[str, str] = {}
    for sample in tracked(samples, "looking at videos", "query", len(samples)):
        try:
            questions[sample.sample_id] = make_question(sample, form, videos, model, settings, video_map)
        except VideoError as error:
            unreadable[sample.sample_id] = str(error)
    return questions, unreadable


async def _run(annotator: Annotator, questions: Mapping[str, Question]) -> None:
    """The run with its progress; Ctrl-C lets what is under way come in, a second one drops it."""
    keys = [key for question in questions.values() for key in question.keys]
    num_before = sum(annotator.is_answered(key) for key in keys)
    loop = asyncio.get_running_loop()
    run = loop.create_task(annotator.run(questions.values()))
    with Progress("asking the teacher", len(keys), "answer", num_before) as progress:

        def show() -> None:
            num_failed = len(annotator.set_aside)
            note = f"{annotator.num_refused + num_failed} refused, {annotator.purse.summary()}"
            progress.set(num_before + annotator.num_answered + num_failed, note)

        def interrupt() -> None:
            loop.add_signal_handler(signal.SIGINT, run.cancel)
            progress.write("waiting for the answers under way; Ctrl-C again drops them")
            annotator.stop("interrupted")

        annotator.on_change = show
        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            with suppress(asyncio.CancelledError):
                await run
        finally:
            loop.remove_signal_handler(signal.SIGINT)
