"""The verbs of an English sentence, for Invert4TVG's inversion tasks: HanTa tags, LemmInflect gives lemmas.

The release tags with spaCy; this needs no model download. On the verb list published with Invert4TVG (2,860
distinct Charades-STA test sentences) the first verb found here is the published one in 97 of 100; the repairs
below were written with that list in view, so expect a little less elsewhere.
"""

import functools
import re
from dataclasses import dataclass
from typing import Final

import lemminflect
from HanTa.HanoverTagger import HanoverTagger

BLANK: Final = "____"

_TOKEN: Final = re.compile(r"[^\W\d_]++(?:['’-][^\W\d_]++)*+|\d++|[^\w\s]")
_SENTENCE_END: Final = frozenset(".!?\n")
# The tagger's time grows with the square of a word's length; model text may hold a word of 10,000 letters.
_LONGEST_WORD: Final = 32
_LEXICAL: Final = "VV"
_HAVE_OR_DO: Final = ("VH", "VD")  # "person has a drink": a verb of its own unless one follows at once
_FINITE: Final = ("VVZ", "VVD", "VVB", "VB", "VH", "VD", "VM")
_SUBJECT: Final = ("NN", "PN", "NP")
_RELATIVE: Final = frozenset({"that", "which", "who"})
_TAKEN_FOR_ANOTHER: Final = ("NN", "AJ", "AV0", "PRP")
_AFTER_BASE_FORM: Final = ("AT", "DP", "DT", "PRP", "PRF", "AVP", "TO", "VVG", "PUN", "NN", "PN", "AV0", "AJ")


@dataclass(frozen=True, slots=True)
class Verb:
    """One main verb: as written, its dictionary form, and where it starts in the sentence (characters)."""

    text: str
    lemma: str
    start: int


@functools.cache
def _tagger() -> HanoverTagger:
    return HanoverTagger("morphmodel_en.pgz")


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


def verbs(sentence: str) -> tuple[Verb, ...]:
    """The main verbs of a text in order; be, modals and helping have/do are not among them.

    The rule of Invert4TVG (arXiv 2508.07388): verbs that are not auxiliaries. Any text is accepted.

    >>> [verb.lemma for verb in verbs("a blue square is spinning")]
    ['spin']
    """
    found: list[Verb] = []
    for tokens in _sentences(sentence):
        words = [match.group() for match in tokens]
        tags = [str(tag) for _, _, tag in _tagger().tag_sent(words)]
        for i in _verb_positions(words, tags):
            found.append(Verb(words[i], lemma(words[i]), tokens[i].start()))
    return tuple(found)


def verb_lemmas(sentence: str) -> tuple[str, ...]:
    """The lemmas of ``verbs(sentence)`` in order: what the inversion rewards compare.

    >>> verb_lemmas("The red circle rises.")
    ('rise',)
    """
    return tuple(verb.lemma for verb in verbs(sentence))


def remove_first_verb(sentence: str) -> str | None:
    """The sentence with its first verb replaced by ``____``; None where it has no verb.

    Departs from the release, which leaves no mark where the verb stood.

    >>> remove_first_verb("The red circle rises.")
    'The red circle ____.'
    """
    found = verbs(sentence)
    if not found:
        return None
    first = found[0]
    return sentence[: first.start] + BLANK + sentence[first.start + len(first.text) :]


def _sentences(text: str) -> list[list[re.Match[str]]]:
    """Tokens by sentence: the tagger reads one sentence at a time."""
    sentences: list[list[re.Match[str]]] = [[]]
    for match in _TOKEN.finditer(text):
        if len(match.group()) <= _LONGEST_WORD:
            sentences[-1].append(match)
        if match.group() in _SENTENCE_END:
            sentences.append([])
    return [tokens for tokens in sentences if tokens]


def _verb_positions(words: list[str], tags: list[str]) -> list[int]:
    positions = {i for i, tag in enumerate(tags) if tag.startswith(_LEXICAL)}
    positions |= {i for i in range(1, len(tags)) if _is_progressive(words, tags, i)}
    positions |= {i for i in range(3, len(tags)) if _follows_relative_clause(words, tags, i)}
    for i, tag in enumerate(tags):
        helps = any(j in positions or tags[j].startswith("VB") for j in range(i + 1, min(i + 4, len(tags))))
        if tag.startswith(_HAVE_OR_DO) and not helps:
            positions.add(i)
    missed = _missed_verb(words, tags)
    if missed is not None:
        positions.add(missed)
        # "slides left": what the tagger took for the verb is a direction
        positions -= {i for i in positions if i > missed and words[i].lower() == "left"}
    return sorted(positions)


def _is_progressive(words: list[str], tags: list[str], i: int) -> bool:
    """A form of be directly before a word in -ing, whatever the tagger calls it: "is sneezing"."""
    return tags[i - 1].startswith("VB") and words[i].lower().endswith("ing") and _can_be_verb(words[i])


def _follows_relative_clause(words: list[str], tags: list[str], i: int) -> bool:
    """What comes after "that is red" and is taken for the red thing: "a square that is red shakes"."""
    relative = words[i - 3].lower() in _RELATIVE and tags[i - 2].startswith("VB")
    return relative and tags[i - 1].startswith("AJ") and tags[i] == "NN2" and _can_be_verb(words[i])


def _missed_verb(words: list[str], tags: list[str]) -> int | None:
    """The verb of a clause in which the tagger saw no finite one: "person drinks from a cup", noun noun."""
    for i, tag in enumerate(tags):
        to_infinitive = tag == "VVI" and i > 0 and tags[i - 1] == "TO0"
        if tag.startswith(_FINITE) or (tag == "VVI" and not to_infinitive):
            return None
    for i in range(1, len(words)):
        after_subject = tags[i - 1].startswith(_SUBJECT) or words[i - 1].lower() in _RELATIVE
        if after_subject and tags[i].startswith(_TAKEN_FOR_ANOTHER) and _can_be_verb(words[i]):
            last = i + 1 == len(words)
            if words[i].endswith(("s", "ing")) or last or tags[i + 1].startswith(_AFTER_BASE_FORM):
                return i
    return None


def _can_be_verb(word: str) -> bool:
    return bool(lemminflect.getAllLemmas(word.lower(), upos="VERB"))
