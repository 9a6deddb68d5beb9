"""The verbs of an English sentence, for Invert4TVG's inversion tasks.

Two taggers, one interface. spaCy's small English model, where it is installed, gives the verbs published with
Invert4TVG word for word (4,451 of 4,451 test queries of Charades-STA). Without it HanTa, whose model comes from PyPI
with the package, gives 98.8 % of them. The moving shapes are the other way round: HanTa finds every verb of their
sentences, spaCy 60 %. So a run depends on the tagger: ``tagger_name`` says which one is read with, every function
takes it by name, and the environment variable TVG_VERB_TAGGER sets it where no name is given.
"""

import os
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

import lemminflect

from tvg_lightning.tasks import hanta_verbs, spacy_verbs

Tagger = Literal["auto", "spacy", "hanta"]

VARIABLE: Final = "TVG_VERB_TAGGER"
BLANK: Final = "____"

# LemmInflect's rules for unknown words are slow on a "word" of 10,000 letters, which model text may hold.
_LONGEST_WORD: Final = 32
_SPACE_BEFORE_STOP: Final = re.compile(r"\s+([.,!?;:])")


@dataclass(frozen=True, slots=True)
class Verb:
    """One main verb: as written, its dictionary form, and where it starts in the sentence (characters)."""

    text: str
    lemma: str
    start: int


def tagger_name(tagger: Tagger = "auto") -> Literal["spacy", "hanta"]:
    """The tagger of the sentences: with "auto" what TVG_VERB_TAGGER says, else spaCy if installed, else HanTa.

    A ValueError where spaCy is asked for and no model of it is installed, or where the variable holds another word.

    >>> tagger_name("hanta")
    'hanta'
    """
    asked = os.environ.get(VARIABLE, "auto") if tagger == "auto" else tagger
    if asked not in get_args(Tagger):
        raise ValueError(f"{VARIABLE}={asked}: give one of {', '.join(get_args(Tagger))}")
    installed = spacy_verbs.installed_model() is not None
    if asked == "hanta" or (asked == "auto" and not installed):
        return "hanta"
    if not installed:
        raise ValueError(
            "tagger spacy: no English model of spaCy is installed; run `pip install spacy` and "
            "`python -m spacy download en_core_web_sm`, or choose the tagger hanta"
        )
    return "spacy"


def lemma(word: str) -> str:
    """The dictionary form of a verb, in lower case; an unknown word is inflected back by rule.

    >>> lemma("spinning"), lemma("Rose"), lemma("shrank")
    ('spin', 'rise', 'shrink')
    """
    lowered = word.lower()
    if not lowered or len(lowered) > _LONGEST_WORD:
        return lowered
    forms = lemminflect.getLemma(lowered, upos="VERB")
    return str(forms[0]).lower() if forms else lowered


def verbs(sentence: str, tagger: Tagger = "auto") -> tuple[Verb, ...]:
    """The main verbs of a text in order; linking be, modals and helping have or do are not among them.

    The rule of Invert4TVG (arXiv 2508.07388): verbs that are not auxiliaries. As in its release, the "is" of
    "there is a person" counts. Any text is accepted.

    >>> [verb.lemma for verb in verbs("a blue square is spinning")]
    ['spin']
    """
    read = spacy_verbs.main_verbs if tagger_name(tagger) == "spacy" else hanta_verbs.main_verbs
    return tuple(Verb(sentence[start:end], lemma(sentence[start:end]), start) for start, end in read(sentence))


def verb_lemmas(sentence: str, tagger: Tagger = "auto") -> tuple[str, ...]:
    """The lemmas of ``verbs(sentence)`` in order: what the inversion rewards compare.

    >>> verb_lemmas("The red circle rises.")
    ('rise',)
    """
    return tuple(verb.lemma for verb in verbs(sentence, tagger))


def remove_first_verb(sentence: str, tagger: Tagger = "auto") -> str | None:
    """The sentence with its first verb replaced by ``____``; None where it has no verb.

    Departs from the release, which leaves no mark where the verb stood (``without_verb``).

    >>> remove_first_verb("The red circle rises.")
    'The red circle ____.'
    """
    found = verbs(sentence, tagger)
    if not found:
        return None
    first = found[0]
    return sentence[: first.start] + BLANK + sentence[first.start + len(first.text) :]


def without_verb(sentence: str, verb: Verb) -> str:
    """The sentence less one of its verbs, spaced as in the release: single spaces, none before a stop.

    >>> without_verb("The red circle rises.", Verb("rises", "rise", 15))
    'The red circle.'
    """
    rest = sentence[: verb.start] + sentence[verb.start + len(verb.text) :]
    return _SPACE_BEFORE_STOP.sub(r"\1", " ".join(rest.split()))
