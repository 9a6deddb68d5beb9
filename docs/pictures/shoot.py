"""Pictures of a page in headless Chromium: ``python docs/pictures/shoot.py PAGE.html OUT_STEM [--colours 64]``.

Writes OUT_STEM-WIDTH-SCHEME.png for widths of 1280 and 400 pixels, light and dark. Needs ``pip install playwright`` and
a Chromium (``apt-get install chromium``); CHROMIUM names another one.

Those of ``report runs/quickstart`` are taken with ``--viewport --colours 256``, and

- report-curves: ``--height 900``, ``--script "document.querySelector('.charts').scrollIntoView()"``;
- report-completions: ``--height 1000`` and a script that moves ``#slider`` (its ``value``, then ``input``) to a
  step whose thoughts have two anchors, clicks the ``.pick`` of a completion, and scrolls to the slider's section.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright


def shoot(
    page_file: Path, stem: Path, script: str, colours: int, full: bool, widths: list[int], height: int
) -> list[str]:
    """Take the pictures; gives what the browser complained of."""
    complaints: list[str] = []
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for width in widths:
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.on("console", lambda message: complaints.append(message.text))
                page.on("pageerror", lambda error: complaints.append(str(error)))
                page.goto(page_file.resolve().as_uri())
                page.wait_for_timeout(700)
                if script:
                    page.evaluate(script)
                    page.wait_for_timeout(500)
                path = stem.with_name(f"{stem.name}-{width}-{scheme}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=path, full_page=full)
                if colours:  # small enough for a repository
                    reduced = Image.open(path).convert("RGB").quantize(colours, kmeans=3, dither=Image.Dither.NONE)
                    reduced.save(path, optimize=True)
                page.close()
        browser.close()
    return complaints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("stem", type=Path)
    parser.add_argument("--script", default="", help="JavaScript to run before the picture is taken")
    parser.add_argument("--colours", type=int, default=0, help="of the PNG; 0: all")
    parser.add_argument("--viewport", action="store_true", help="what is seen first, and not the whole page")
    parser.add_argument("--height", type=int, default=860, help="of the window, in pixels")
    parser.add_argument("--widths", type=int, nargs="+", default=[1280, 400], help="in pixels")
    given = parser.parse_args()
    is_full = not given.viewport
    complaints = shoot(given.page, given.stem, given.script, given.colours, is_full, given.widths, given.height)
    sys.stdout.write("".join(f"{complaint}\n" for complaint in complaints))


if __name__ == "__main__":
    main()
