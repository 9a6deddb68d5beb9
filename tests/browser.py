"""A headless Chromium, where playwright and a browser are found. The fixtures are known to all tests by conftest.py."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Opens = Callable[[Path], Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """CHROMIUM names the browser, if it is not on the path; without one the tests of pages in a browser are skipped.

    One a session: playwright does not start twice in a process, so no file may import this fixture and make it anew.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield found
        found.close()


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript; the page's own policy forbids playwright's way of waiting for one."""
    for _ in range(150):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within 15 s: {condition}")


@pytest.fixture
def opened(browser: Any) -> Iterator[Opens]:
    """Opens a page of a file offline; the test fails where the page complains."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, offline=True)
    complaints: list[str] = []

    def open_page(file: Path) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(file.resolve().as_uri())
        return page

    yield open_page
    context.close()
    assert complaints == []
