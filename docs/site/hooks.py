"""Hooks of MkDocs: pages of files that lie outside docs/, and a check of every link of the finished site.

README.md is the first page, LOG.md and CHANGELOG.md are the last; none is kept twice. Their links are written for
readers of the repository, so ``docs/`` is taken off them here.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

OUTSIDE = {"README.md": "index.md", "LOG.md": "log.md", "CHANGELOG.md": "changelog.md"}
ROOT = Path(__file__).parents[2]
# The target of a link or picture, in Markdown and in HTML.
TARGET = re.compile(r"""(\]\(|\b(?:href|src|srcset)=")([^)"\s]+)""")
LOADED = {"src", "srcset", "poster"}  # what a browser fetches by itself


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=TARGET.sub(_from_docs, text)))
    return files


def _from_docs(found: re.Match[str]) -> str:
    """A target as it is seen from docs/."""
    target = found[2].removeprefix("docs/")
    path, mark, anchor = target.partition("#")
    path = OUTSIDE.get(path, path)
    if found[1].startswith("href"):  # MkDocs rewrites links of Markdown, not those of HTML
        path = re.sub(r"\.md$", ".html", path)
    return f"{found[1]}{path}{mark}{anchor}"


class _Page(HTMLParser):
    """Ids of a page, where its links lead, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.has_doctest_as_quote = False  # Markdown takes >>> for three quotes, one in another
        self.num_quotes = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_endtag(self, tag: str) -> None:
        self.num_quotes -= tag == "blockquote"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num_quotes += tag == "blockquote"
        self.has_doctest_as_quote |= self.num_quotes == 3
        for name, value in attrs:
            if value is None:
                continue
            if name in ("id", "name"):
                self.ids.add(value)
            elif name == "href" and tag == "a":
                self.links.add(value)
            elif name in LOADED or (name == "href" and dict(attrs).get("rel") in ("stylesheet", "icon")):
                self.loads.add(value)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with a link that leads nowhere, or with anything that is loaded from elsewhere."""
    site = Path(config.site_dir)
    pages = {path.resolve(): _Page(path) for path in sorted(site.rglob("*.html"))}
    faults = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are those of a server's root
            continue
        where = path.relative_to(site.resolve())
        faults += [f"{where}: a doctest that is no block of code"] * page.has_doctest_as_quote
        faults += [f"{where}: loads {url} from elsewhere" for url in sorted(page.loads) if urlsplit(url).netloc]
        faults += [
            f"{where}: {fault}" for url in sorted(page.links | page.loads) if (fault := _fault(url, path, pages))
        ]
    if faults:
        raise PluginError("links of the site:\n" + "\n".join(faults))


def _fault(url: str, path: Path, pages: dict[Path, _Page]) -> str | None:
    """The fault of a link of a page; None for nothing, and for one that leaves the site."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{url} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and not anchor.startswith("__") and target in pages and anchor not in pages[target].ids:
        return f"{url}: the page has no such anchor"
    return None
