"""One self-contained HTML file of a template: styles, script and data stand inside, and nothing is fetched.

What models and queries say is data. It goes into the page as JSON whose angle brackets are escaped (jinja2's
``tojson``), is put there by the script as text and never as markup, and a content security policy lets no other script
run than ours, by its digest.
"""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tvg_lightning.files import atomic_write

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: Path, template: str, scripts: tuple[str, ...], data: object, **more: Any) -> None:
    """Render a template to a file, which appears whole or not at all; ``data`` is what its script works on."""
    page = render(template, scripts, data, **more)
    with atomic_write(path) as part:
        part.write_text(page, encoding="utf-8", errors="replace")


def render(template: str, scripts: tuple[str, ...], data: object, **more: Any) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    code = "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    digest = b64encode(sha256(code.encode("utf-8")).digest()).decode("ascii")
    styles = (_TEMPLATES / "styles.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        styles=Markup(styles), script=Markup(code), digest=digest, data=data, **more
    )
