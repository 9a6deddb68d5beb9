"""True windows written as an answer: what the policy would say if it knew, without a thought. Standard library only."""

from collections.abc import Sequence

from tvg_lightning.schema import AnswerFormat, Method, Span


def answer_text(windows: Sequence[Span], form: AnswerFormat) -> str:
    """The answer alone, in a format, that states these windows.

    Seconds have six significant digits and no zeros behind them, as in OraRL's release (arXiv 2608.20492), and one
    decimal where that would need an exponent; TimeLens's sentence (arXiv 2512.14698) and OMTG's tags have one decimal,
    MUSEG's segments two. ValueError for several windows, or none, where a format cannot say so; TimeLens's sentence
    lists several, though only its first counts as the answer.

    >>> answer_text([Span(3.5, 1234.567)], AnswerFormat(Method.ORA_RL))
    '<answer>3.5 to 1234.57</answer>'
    >>> answer_text([Span(3.0, 7.0), Span(9.0, 12.5)], AnswerFormat(Method.TIMELENS2))
    '[[3, 7], [9, 12.5]]'
    >>> answer_text([Span(3.0, 7.25)], AnswerFormat(Method.TIMELENS))
    'The event happens in 3.0 - 7.2 seconds'
    """
    method = form.method
    _check(len(windows), form)
    if method is Method.TIMELENS2:
        return "[" + ", ".join(f"[{_short(s)}, {_short(e)}]" for s, e in windows) + "]"
    if method is Method.TIMELENS:
        return "The event happens in " + ", ".join(f"{s:.1f} - {e:.1f} seconds" for s, e in windows)
    if method is Method.OMTG:
        return " ".join(f"<time>{s:.1f} - {e:.1f} seconds</time>" for s, e in windows)
    if method is Method.MUSEG:
        return "<answer>" + " ".join(f"{s:.2f}-{e:.2f}" for s, e in windows) + "</answer>"
    ((start, end),) = ((_short(s), _short(e)) for s, e in windows)
    if method is Method.TVG_R1:
        return f"<time>[{start}, {end}]</time>"
    if method is Method.TARO:
        return f"<answer>{start}s to {end}s</answer>"
    return f"<answer>{start} to {end}</answer>"


def _check(num_windows: int, form: AnswerFormat) -> None:
    can_say_several = form.says_sets or form.method is Method.TIMELENS
    if (num_windows == 0 and not form.says_none) or (num_windows > 1 and not can_say_several):
        raise ValueError(f"an answer in the format of data.method {form.method} cannot say {num_windows} windows")


def _short(value_s: float) -> str:
    short = f"{value_s:g}"
    return f"{value_s:.1f}" if "e" in short else short
