"""The project's documents: their links, anchors, pictures and blocks of code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "LOG.md", ROOT / "CHANGELOG.md"]  # for readers of the project's history
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:href|src|srcset)=\"([^\"]+)\"")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)|<img alt=\"([^\"]*)\" src=\"([^\"]+)\"")
_FILE = re.compile(r"`([\w/]+\.(?:py|yaml))`")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    line: int
    language: str
    text: str
    file: str | None  # the name that the words before it, or its first line, give it

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in _HEADING.findall(prose(path)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return names


def links(path: Path) -> list[str]:
    """The targets of a page's links and pictures, in Markdown and in HTML; those to other sites aside."""
    targets = [markdown or html for markdown, html in _LINK.findall(prose(path))]
    return [target for target in targets if not re.match(r"https?:", target)]


def pictures(path: Path) -> list[tuple[str, str]]:
    """The pictures of a page, as (words that stand for it, file)."""
    found = _PICTURE.findall(prose(path))
    return [(words or html_words, file or html_file) for words, file, html_words, html_file in found]


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(ROOT).as_posix()
    for found in _FENCE.finditer(text):
        before = text[: found.start()].rstrip().rpartition("\n\n")[2]
        first = re.match(r"# (\w+\.\w+)\b", found[3])
        named = [first[1]] if first else _FILE.findall(before)
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], found[3], named[0] if named else None)
