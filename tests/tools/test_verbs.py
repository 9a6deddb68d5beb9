import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.tasks import spacy_verbs
from tvg_lightning.tasks.verbs import Tagger
from tvg_lightning.tools.verbs import main

ROOT = Path(__file__).resolve().parents[2]
NOTHING = {"verb": "", "lemma": "", "verbs": [], "without_verb": ""}


def records(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes, tagger: Tagger) -> Any:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    main(tagger)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b"person opens the jar and ate.\n",
            [{"verb": "opens", "lemma": "open", "verbs": ["open", "eat"], "without_verb": "person the jar and ate."}],
        ),
        (b"a red circle", [NOTHING | {"without_verb": "a red circle"}]),
        (b"", []),
        (b"\n", [NOTHING]),
        (b"\r\n  \n\n", [NOTHING] * 3),
        (b"\xef\xbb\xbfit fell\r\n", [{"verb": "fell", "lemma": "fall", "verbs": ["fall"], "without_verb": "it"}]),
        (b"\xff\xfe", [NOTHING | {"without_verb": "\ufffd\ufffd"}]),
        ("the caf\u00e9\u2028".encode() + b"\x0b", [NOTHING | {"without_verb": "the caf\u00e9"}]),
    ],
)
def test_one_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes, expected: list[dict[str, Any]]
) -> None:
    assert records(monkeypatch, capsys, text, "hanta") == expected


def test_spacy_is_read_with_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TVG_VERB_TAGGER", raising=False)
    monkeypatch.setattr(spacy_verbs, "installed_model", lambda: "en_core_web_sm")
    monkeypatch.setattr(spacy_verbs, "main_verbs", lambda text: [(0, 4)])
    assert records(monkeypatch, capsys, b"here it sits\n", "auto")[0]["verb"] == "here"
    assert records(monkeypatch, capsys, b"here it sits\n", "hanta")[0]["verb"] == "sits"


def test_spacy_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(spacy_verbs, "installed_model", lambda: None)
    with pytest.raises(ValueError, match="no English model of spaCy is installed"):
        records(monkeypatch, capsys, b"", "spacy")


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    code = "from tvg_lightning.tools.verbs import main; main('hanta')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, input=b"it fell\n" * 9, stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
