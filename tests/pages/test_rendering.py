"""What stands in data cannot become markup, and no script but ours may run."""

import json
import re
from base64 import b64encode
from hashlib import sha256

from tvg_lightning.pages.rendering import render

EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)"><!-- &'


def test_text_is_data() -> None:
    page = render("ground.html", ("view.js",), {"said": EVIL}, title=EVIL, facts=[EVIL], notes=[EVIL], answers=EVIL)
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page and "<!--" not in page
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None and json.loads(found[1]) == {"said": EVIL}


def test_the_policy_lets_our_script_run_and_no_other() -> None:
    page = render("ground.html", ("view.js", "ground.js"), {}, title="t", facts=[], notes=[], answers="")
    code = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = b64encode(sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="[^"]', page) == []  # nothing is fetched
