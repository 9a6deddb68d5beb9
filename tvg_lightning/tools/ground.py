"""``python -m tvg_lightning ground VIDEO "QUERY"``: when it happens in a video, and a page to see it on."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tvg_lightning.data.annotations.jsonl import windows_of
from tvg_lightning.data.containers import readable
from tvg_lightning.data.probing import FileReport, probe
from tvg_lightning.files import at, atomic_write, plain_text, read_items, read_text
from tvg_lightning.modules.asking import TINY_PARAMETERS, AskSettings, ask, load_policy, num_parameters
from tvg_lightning.modules.evaluation import Evaluated, prediction_record
from tvg_lightning.pages.films import Strip, film_of, read_strip
from tvg_lightning.pages.pieces import Json, lanes_of, pieces_of, said
from tvg_lightning.pages.rendering import write_page
from tvg_lightning.progress import tracked
from tvg_lightning.schema import AnswerFormat, Method, MethodName, Sample, Span
from tvg_lightning.timeline import draw_timeline, figure_to_image

Asked = tuple[str, tuple[Span, ...] | None]  # a query, and its true windows where they are known


def main(
    video: Path,
    query: list[str] = [],  # noqa: B006  # never changed
    queries: Path | None = None,
    truth: list[float] = [],  # noqa: B006
    policy: str = "tiny",
    method: MethodName = "tar_tvg",
    thought: bool | None = None,
    out: Path = Path("grounded"),
    embed_mib: float = 24.0,
    link: bool = False,
    fps: float = 2.0,
    max_frames: int | None = None,
    max_tokens: int | None = None,
    max_new_tokens: int | None = None,
) -> None:
    """Find when a sentence is true in a video; print the window, and write result.json, a picture and a page.

    The page is one HTML file that needs no server and no network: the video, the truth (if given), every anchor and
    the answer over one time axis, and the text, in which each time is a link that plays it.
    Greedy decoding, on a GPU where there is one.

    Args:
        video: the file; any container and codec that FFmpeg reads.
        query: the sentence; several share a page.
        queries: file of more queries: one a line, or (.jsonl) objects with "query" and, if known, "windows" in seconds
            (default: the queries of the command line alone).
        truth: true start and end of the one query, in seconds: --truth 3.0 7.5; several windows one after another.
        policy: the policy to ask: "tiny" (comes with the package, knows rendered moving shapes only), a folder with a
            whole model (published, or written by export), a name
            on the Hugging Face hub, or a checkpoint of training such as runs/quickstart/checkpoints/final.ckpt.
        method: the format of the answer, and with it the prompt.
        thought: ask for a thought before the answer (default: as the method has it).
        out: folder for the files; those of these names are replaced.
        embed_mib: the largest video that is put into the page, in MiB; a larger one is linked.
        link: link the video, whatever its size; it must then stay where it is, seen from the page.
        fps: frames a second that the policy sees.
        max_frames: the most frames that it sees, spread over the video (default: 40 for tiny, else 128).
        max_tokens: the most video tokens of a frame (default: 1 for tiny, else 128).
        max_new_tokens: the longest answer, in tokens (default: 96 for tiny, else 512).
    """
    settings, form = AskSettings(fps, max_frames, max_tokens, max_new_tokens), AnswerFormat(Method(method), thought)
    asked = asked_about(query, queries, truth)
    if not embed_mib >= 0:
        raise ValueError(f"--embed_mib must be 0 or more, not {embed_mib}")
    report, strip = readable_video(video)
    _ground(video, report, strip, asked, policy, form, settings, out, 0.0 if link else embed_mib)


def readable_video(video: Path) -> tuple[FileReport, Strip]:
    """A video's properties and frames; ValueError in one sentence where it cannot be read."""
    if not video.is_file():
        raise ValueError(f"{readable(video)}: no such video; check the path")
    report = probe(video)
    if not report.ok:
        raise ValueError(f"{readable(video)}: this video cannot be read ({report.error})")
    return report, read_strip(video)


def _ground(
    video: Path, report: FileReport, strip: Strip, asked: Sequence[Asked], policy: str, form: AnswerFormat,
    settings: AskSettings, out: Path, most_mib: float,
) -> None:  # fmt: skip
    """Ask, write the files, and print what was said."""
    duration_s = length_s(report, strip)
    loaded = load_policy(policy)
    is_tiny = num_parameters(loaded) < TINY_PARAMETERS
    settings = settings.settled(is_tiny)
    samples = [
        Sample(str(number), video.name, duration_s, words, windows) for number, (words, windows) in enumerate(asked, 1)
    ]
    asking = ask(loaded, video.parent, samples, form, settings)
    answers = list(tracked(asking, "answering", "query", len(samples)))
    out.mkdir(parents=True, exist_ok=True)
    facts = _facts(policy, num_parameters(loaded), form, answers, duration_s)
    _write_result(out / "result.json", video, policy, form, settings, duration_s, answers)
    pictures = _write_pictures(out, strip, answers)
    film = film_of(video, duration_s, report.codec, strip, out, most_mib)
    _write_html(out / "index.html", film, facts, answers, is_tiny)
    for evaluated in answers:
        note = question_of(evaluated)["note"]
        sys.stdout.write(f"{evaluated.item.sample.query}\n    {said(evaluated.answer)}{note and f'. {note}'}\n")
    names = ", ".join(["index.html", "result.json", *pictures])
    where = "inside the page" if film["inside"] else f"linked from the page as {film['link']}"
    sys.stdout.write(f"\n{out}: {names}; the video is {where}\n")


def asked_about(query: Sequence[str], queries: Path | None, truth: Sequence[float]) -> list[Asked]:
    """The queries of a command line and of a file, each with its truth where that is given."""
    asked: list[Asked] = [(words, None) for words in query]
    if truth:
        if len(asked) != 1 or queries is not None:
            raise ValueError("--truth belongs to one query; for several write their windows into a .jsonl of --queries")
        if len(truth) % 2 or any(not 0 <= s < e for s, e in zip(truth[::2], truth[1::2], strict=True)):
            raise ValueError(f"--truth needs start and end in seconds, start before end, not {list(truth)}")
        asked = [(asked[0][0], tuple(Span(s, e) for s, e in zip(truth[::2], truth[1::2], strict=True)))]
    asked += [] if queries is None else read_queries(queries)
    asked = [(plain_text(words.strip()), windows) for words, windows in asked]
    if not asked or not all(words for words, _ in asked):
        raise ValueError('no query was given, or an empty one: ground VIDEO "The door opens.", or --queries FILE')
    return asked


def read_queries(path: Path) -> list[Asked]:
    """The queries of a file: one a line, or JSON objects with ``query`` and maybe ``windows``."""
    if path.suffix.lower() not in (".jsonl", ".json"):
        return [(line, None) for line in read_text(path).splitlines() if line.strip()]
    asked: list[Asked] = []
    for location, given in read_items(path, ("query",)):
        with at(path, location):
            if not isinstance(given["query"], str):
                raise ValueError(f"query must be a text, got {given['query']!r}")
            is_known = not given.keys().isdisjoint(("windows", "start", "end"))
            asked.append((given["query"], windows_of(given) if is_known else None))
    return asked


def length_s(report: FileReport, strip: Strip) -> float:
    """The length of a video; one frame without a length of its own counts as half a second."""
    return report.duration_s or max(strip.times_s[-1], 0.5)


def _facts(
    policy: str, num_weights: int, form: AnswerFormat, answers: Sequence[Evaluated], duration_s: float
) -> list[str]:
    num_frames = len(answers[0].item.clip.times_s)
    size = f"{num_weights / 1e6:.1f} M" if num_weights < 1e9 else f"{num_weights / 1e9:.1f} B"
    return [
        f"{duration_s:.1f} s",
        f"policy {policy}, {size} parameters",
        f"answers in the format {form.method}" + ("" if form.has_thought else ", without a thought"),
        f"{num_frames} frames seen",
    ]


def _write_result(
    path: Path, video: Path, policy: str, form: AnswerFormat, settings: AskSettings, duration_s: float,
    answers: Sequence[Evaluated],
) -> None:  # fmt: skip
    result: Json = {
        "video": readable(video),
        "duration_s": duration_s,
        "policy": policy,
        "method": str(form.method),
        "thought": form.has_thought,
        "settings": {name: settings.__dict__[name] for name in sorted(settings.__dict__)},
        "answers": [prediction_record(evaluated) for evaluated in answers],
    }
    with atomic_write(path) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _write_pictures(out: Path, strip: Strip, answers: Sequence[Evaluated]) -> list[str]:
    """One picture a query, and their names."""
    names = []
    for number, evaluated in enumerate(answers, 1):
        sample = evaluated.item.sample
        figure = draw_timeline(
            strip.frames,
            sample.duration_s,
            sample.windows,
            evaluated.answer,
            sample.query,
            evaluated.text,
            strip.times_s,
        )
        names.append("timeline.png" if len(answers) == 1 else f"timeline-{number}.png")
        with atomic_write(out / names[-1]) as part:
            Image.fromarray(figure_to_image(figure)).save(part, "PNG")
    return names


def _write_html(path: Path, film: Json, facts: list[str], answers: Sequence[Evaluated], is_tiny: bool) -> None:
    notes = [TINY_NOTE] if is_tiny else []
    questions = [question_of(evaluated) for evaluated in answers]
    told = "; ".join(f"{question['query']} {question['said']}" for question in questions)
    data = {"film": film, "questions": questions}
    scripts = ("view.js", "ground.js")
    write_page(path, "ground.html", scripts, data, title=film["name"], facts=facts, notes=notes, answers=told)


TINY_NOTE = (
    "This is the tiny policy. It knows the rendered moving shapes that come with the package and nothing else: what it "
    "says of any other video means nothing."
)


def question_of(evaluated: Evaluated) -> dict[str, Any]:
    """One query for the page."""
    sample, answer = evaluated.item.sample, evaluated.answer
    note = ""
    if answer.spans is None:
        note = "No window can be read from this text" + (
            ", which the token limit ended." if evaluated.truncated else "."
        )
    elif answer.spans and all(span.start_s >= sample.duration_s for span in answer.spans):
        note = f"The answer lies after the end of the video, which is {sample.duration_s:.1f} s long."
    return {
        "query": sample.query,
        "said": said(answer),
        "iou": evaluated.score,
        "follows_format": answer.follows_format,
        "lanes": lanes_of(sample.windows, answer, evaluated.anchor_ious, evaluated.score),
        "pieces": pieces_of(evaluated.text, answer),
        "note": note,
    }
