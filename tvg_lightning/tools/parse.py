"""``python -m tvg_lightning parse``: the windows of one answer per line, from stdin to stdout."""

import json
import os
import sys

from tvg_lightning.parsing import read_all, read_strict
from tvg_lightning.schema import AnswerFormat, Method, MethodName


def main(method: MethodName = "time_r1", thought: bool | None = None, strict: bool = False) -> None:
    """Read one text per line and write the windows of its final answer as one JSON list of [start, end] per line.

    Times are seconds. A line without a window gives []. A newline inside a text is written as \\n; a line that is a
    JSON string ("...") stands for the text it encodes. Bytes that are not UTF-8 are read as unknown characters.

    Args:
        method: the format of the answers in the texts.
        thought: a thought stands before the answers (default: as the method has it).
        strict: read as the reward does: the answer in that format, or [].
    """
    form = AnswerFormat(Method(method), thought)
    try:
        for line in sys.stdin.buffer:
            windows = _windows(line.decode("utf-8", errors="replace"), form, strict)
            sys.stdout.write(json.dumps(windows) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # the reader has seen enough; what is still buffered must not fail a second time when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _windows(line: str, form: AnswerFormat, strict: bool) -> list[list[float]]:
    text = _decoded(line.strip())
    if strict:
        return [list(window) for window in read_strict(text, form).spans or ()]
    return [list(window) for window in read_all(text, form.method)]


def _decoded(line: str) -> str:
    """The text that a line stands for: a JSON string's, or the line itself with its newlines put back."""
    if line.startswith('"') and line.endswith('"'):
        try:
            return str(json.loads(line))
        except json.JSONDecodeError:
            pass  # two quoted words, as in "0:12" to "0:15"
    return line.replace("\\n", "\n")
