"""The drawn pictures are those that the code draws, in both colour schemes."""

import re
from xml.etree import ElementTree

import pytest

from docs.pictures.draw import FOLDER, PICTURES
from docs.pictures.drawing.layouts import FLOORS
from docs.pictures.drawing.style import COLOURS, styled, svg_of
from docs.pictures.terminal import terminal
from tests.docs.pages import ROOT

PRINTED = {"diagnose", "help"}  # what commands print, by docs/pictures/terminal.py
MEASURED = {"performance", "plan"}  # drawn anew with every release, from what benchmarks and plans say then


def rounded(svg: str) -> str:
    """Without the last digits, which are those of a processor."""
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", svg)


def test_every_drawing_has_its_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == PICTURES.keys() | PRINTED


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_as_drawn(name: str) -> None:
    """If one is red: ``make pictures``, and look at it."""
    with styled():
        drawn = svg_of(PICTURES[name]())
    ElementTree.fromstring(drawn)
    assert "prefers-color-scheme: dark" in drawn
    assert not [light for light, _ in COLOURS.values() if drawn.count(light) > 1], "a colour that no scheme changes"
    if name not in MEASURED:
        assert rounded(drawn) == rounded((FOLDER / f"{name}.svg").read_text(encoding="utf-8"))


def test_the_floors_are_modules() -> None:
    """Each name in the picture, and those behind a colon, but for words such as ``SFT``."""
    names = [name for row in FLOORS for entry in row for name in re.split(r"[:,] ", entry) if name.islower()]
    package = ROOT / "tvg_lightning"
    places = [package, package / "data", package / "policy", ROOT]
    for name in names:
        stem = name.replace(" ", "_")
        if stem != "stages":
            assert any((place / stem).is_dir() or (place / f"{stem}.py").is_file() for place in places), name


def test_what_a_terminal_shows_is_cut_and_escaped() -> None:
    svg = terminal("x --json", "a <b>\n" + "long " * 9 + "\n_\bused\n3\n4\n", lines=4, columns=20)
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["$ x --json", "a <b>", "long long long long…", "used", "…"]
