"""The output of a command as a picture: ``COMMAND | python -m docs.pictures.terminal "COMMAND" OUT.svg [--lines 20]``.

Text stays text, so the picture is small and can be searched; its colours follow the reader's light or dark scheme.
"""

import argparse
import re
import sys
from html import escape
from pathlib import Path

from docs.pictures.drawing.style import COLOURS, with_schemes

SIZE, LINE_HEIGHT, LETTER = 13, 18, 7.8
LIGHT = {name: light for name, (light, _) in COLOURS.items()}


def terminal(command: str, printed: str, lines: int, columns: int) -> str:
    """The SVG; what goes beyond the lines or columns is cut, and … says so."""
    shown = re.sub(".\b|\x1b\\[[0-9;]*m", "", printed).rstrip("\n").split("\n")
    if len(shown) > lines:
        shown = [*shown[: lines - 1], "…"]
    shown = [line if len(line) <= columns else line[: columns - 1] + "…" for line in shown]
    width = round(LETTER * columns) + 32
    height = LINE_HEIGHT * (len(shown) + 1) + 30
    rows = [(f"$ {command}", LIGHT["blue"]), *((line, LIGHT["ink"]) for line in shown)]
    texts = [
        f'<text x="16" y="{26 + LINE_HEIGHT * row}" fill="{colour}" textLength="{LETTER * len(line):.1f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(line)}</text>'
        for row, (line, colour) in enumerate(rows)
        if line.strip()
    ]
    body = "\n ".join(texts)
    return with_schemes(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="{SIZE}">\n'
        f' <rect width="{width}" height="{height}" rx="8" fill="{LIGHT["fill"]}"/>\n {body}\n</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", help="as it is shown")
    parser.add_argument("out", type=Path)
    parser.add_argument("--lines", type=int, default=24)
    parser.add_argument("--columns", type=int, default=110)
    given = parser.parse_args()
    given.out.write_text(terminal(given.command, sys.stdin.read(), given.lines, given.columns), encoding="utf-8")


if __name__ == "__main__":
    main()
