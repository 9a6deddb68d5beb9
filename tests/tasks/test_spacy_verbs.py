"""The rule over spaCy's tokens, with a double of its model: the real one is a download."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvg_lightning.tasks import spacy_verbs

# Reads "word/POS/dep word/POS/dep"; idx counts characters of the text it was given, as spaCy's does.
DOUBLE = """
import re
from types import SimpleNamespace

LOADED = []

def load(**overrides):
    LOADED.append(overrides)
    def read(text):
        for match in re.finditer(r"(\\S+?)/(\\S+)/(\\S+)", text):
            word, pos, dep = match.groups()
            yield SimpleNamespace(idx=match.start(), text=word, pos_=pos, dep_=dep)
    return read
"""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder on the path of imports, and no memory of models found before or after."""
    monkeypatch.syspath_prepend(str(tmp_path))
    spacy_verbs.installed_model.cache_clear()
    spacy_verbs._pipeline.cache_clear()
    yield tmp_path
    sys.modules.pop("en_core_web_sm", None)
    spacy_verbs.installed_model.cache_clear()
    spacy_verbs._pipeline.cache_clear()


@pytest.fixture
def model(fresh: Path) -> str:
    package = fresh / "en_core_web_sm"
    package.mkdir()
    (package / "__init__.py").write_text(DOUBLE, encoding="utf-8")
    return "en_core_web_sm"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("he/PRON/nsubj lifts/VERB/ROOT it/PRON/dobj", ["lifts"]),
        ("he/PRON/nsubj has/AUX/aux lifted/VERB/ROOT it/PRON/dobj", ["lifted"]),
        ("he/PRON/nsubj had/VERB/aux lifted/VERB/ROOT", ["lifted"]),
        ("gets/VERB/auxpass dressed/VERB/ROOT", ["dressed"]),
        ("he/PRON/nsubj is/AUX/ROOT here/ADV/advmod", []),
        ("runs/NOUN/dobj", []),
        ("sits/VERB/ROOT and/CCONJ/cc hums/VERB/conj", ["sits", "hums"]),
        ("", []),
    ],
)
def test_verbs_that_help_no_other(model: str, text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in spacy_verbs.main_verbs(text)] == found


def test_the_model_is_found_and_loaded_once_without_what_is_not_read(model: str) -> None:
    assert spacy_verbs.installed_model() == model
    assert model not in sys.modules  # looking does not load
    spacy_verbs.main_verbs("a/DET/det")
    spacy_verbs.main_verbs("b/DET/det")
    assert sys.modules[model].LOADED == [{"exclude": ["ner", "lemmatizer"]}]


def test_no_model(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy_verbs, "_MODELS", ("a_model_that_nobody_has",))
    assert spacy_verbs.installed_model() is None
