"""Links and anchors lead somewhere, every page has a picture that is small enough, every module has its API page."""

import re
import subprocess

import pytest

from tests.docs.pages import NAMES, OTHERS, PAGES, ROOT, anchors, blocks, links, pictures

PICTURES = ROOT / "docs/pictures"
LARGEST = 200 * 1024  # bytes of a picture
LANGUAGES = {"bash", "json", "python", "text", "yaml"}


@pytest.mark.parametrize("name", [*NAMES, *(path.name for path in OTHERS)])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), f"{name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{name}: {link}: no heading there has this anchor"


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_a_picture_and_words_for_it(name: str) -> None:
    found = pictures(ROOT / name)
    assert found, f"{name} has no picture"
    assert all(len(words) > 10 for words, _ in found), f"{name}: a picture without words"


def test_pictures_are_small_and_each_is_on_a_page() -> None:
    shown = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    files = {path for path in PICTURES.iterdir() if path.suffix in (".png", ".svg")}
    assert files and files <= shown, sorted(path.name for path in files - shown)
    assert [path.name for path in files if path.stat().st_size > LARGEST] == []


def test_every_module_is_on_one_page_of_the_api() -> None:
    """Named itself, or below a package that is named."""
    named = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)]
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "tvg_lightning", "callbacks", "train.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    modules = [f.removesuffix(".py").replace("/", ".") for f in files if f.endswith(".py") and "__init__" not in f]
    assert len(modules) > 150
    for module in modules:
        above = [name for name in named if f"{module}.".startswith(f"{name}.")]
        assert len(above) == 1, f"{module} is on {len(above)} pages of docs/api: give it one"
    assert [name for name in named if not any(f"{module}.".startswith(f"{name}.") for module in modules)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_block_says_its_language(name: str) -> None:
    assert [str(block) for block in blocks(ROOT / name) if block.language not in LANGUAGES] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 210
