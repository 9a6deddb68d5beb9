"""Pictures of texts and of the windows that are read in them."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.pictures.drawing.style import FILL, GREEN, INK, PAPER, RED, SOFT, box, canvas, words
from tvg_lightning.parsing import read_tolerant
from tvg_lightning.published.lmms_charades import read_lmms_charades
from tvg_lightning.published.museg import read_museg
from tvg_lightning.published.taro import read_taro
from tvg_lightning.published.time_r1 import read_time_r1
from tvg_lightning.published.timelens import read_timelens
from tvg_lightning.schema import AnswerFormat, Method, Span

ANSWERS = (
    "From 75.5 to 83.25 seconds.",
    "It starts at 01:15 and ends at 01:23.",
    "between 1 min 15 s and 1 min 23 s",
    '{"start": 75.5, "end": "83.2s"}',
    "von 75,5 bis 83,2 Sekunden",
    "[[75.5, 83.2]]",
)
ASKED = "It lasts from 61.5s to 111.7s, that is 1:01 - 1:51."


def parsing() -> Figure:
    """Answers in several ways of writing a time, and what the one parser reads."""
    figure, axes = canvas(5.6, 0.42 * len(ANSWERS) + 0.2)
    form = AnswerFormat(Method.TIME_R1)
    for row, text in enumerate(ANSWERS):
        span = read_tolerant(text, form).span
        assert span is not None, text
        _row(axes, row, text, f"{span.start_s:g} to {span.end_s:g} s", GREEN)
    return figure


def published() -> Figure:
    """One answer, as the parsers of published evaluations read it; the truth is 61.5 to 111.7."""
    readers: dict[str, Callable[[str], Sequence[Span]]] = {
        "timelens": read_timelens,
        "time_r1": read_time_r1,
        "taro": read_taro,
        "museg": read_museg,
        "lmms_charades": read_lmms_charades,
    }
    figure, axes = canvas(5.6, 0.42 * len(readers) + 1.0)
    words(axes, 1, 3, f"“{ASKED}”", INK, 11.5)
    own = read_tolerant(ASKED, AnswerFormat(Method.TIMELENS)).span
    rows = [("this project's parser", [own] if own is not None else [])]
    rows += [(f"{name}, as published", list(read(ASKED))) for name, read in readers.items()]
    for number, (name, spans) in enumerate(rows):
        told = " and ".join(f"{span.start_s:g} to {span.end_s:g}" for span in spans) or "nothing"
        is_right = bool(spans) and spans[0] == Span(61.5, 111.7)
        _row(axes, number + 1, name, told, GREEN if is_right else RED)
    return figure


def _row(axes: Axes, row: int, left: str, right: str, colour: str) -> None:
    y = 1.0 + 4.2 * row
    box(axes, 1, y, 31, 3.4, colour=FILL)
    words(axes, 2, y + 1.7, left, INK, 10.5)
    words(axes, 33, y + 1.7, "→", SOFT, 11)
    box(axes, 36, y, 19, 3.4, right, colour, PAPER, 10.5)
