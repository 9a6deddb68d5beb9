"""True windows written as an answer: what the policy would say if it knew, without a thought. Standard library only."""

from collections.abc import Sequence

from tvg_lightning.schema import AnswerFormat, Method, Span


def answer_text(windows: Sequence[Span], form: AnswerFormat) -> str:
    """The answer alone, in a format, that states these windows.

    Seconds have six significant digits and no zeros behind them, as in OraRL's release (arXiv 2608.20492); those too
    large or too small for that have one decimal. ValueError for several windows, or none, where a format can only say
    one.

    >>> answer_text([Span(3.5, 1234.567)], AnswerFormat(Method.TIME_R1, thought=False))
    '<answer>3.5 to 1234.57</answer>'
    >>> answer_text([Span(3.0, 7.0), Span(9.0, 12.5)], AnswerFormat(Method.TIMELENS2))
    '[[3, 7], [9, 12.5]]'
    """
    pairs = [(_seconds(window.start_s), _seconds(window.end_s)) for window in windows]
    if form.method is Method.TIMELENS2:
        return "[" + ", ".join(f"[{start}, {end}]" for start, end in pairs) + "]"
    if len(pairs) != 1:
        raise ValueError(f"an answer in the format of data.method {form.method} says one window, not {len(pairs)}")
    ((start, end),) = pairs
    if form.method is Method.TVG_R1:
        return f"<time>[{start}, {end}]</time>"
    return f"<answer>{start} to {end}</answer>"


def _seconds(value: float) -> str:
    short = f"{value:g}"
    return f"{value:.1f}" if "e" in short else short
