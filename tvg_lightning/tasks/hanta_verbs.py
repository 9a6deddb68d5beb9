"""Main verbs by HanTa, a tagger whose English model comes with its package, and repairs of its tags.

HanTa gives the tags of the British National Corpus (CLAWS 5). Captions are a language of their own: "person opens
door", "person open the box", "a smiling person sits"; words that HanTa takes for nouns or adjectives are verbs
here. The repairs look at the neighbours of such a word, not at a list of such words.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final

import lemminflect
from HanTa.HanoverTagger import HanoverTagger

_TOKEN: Final = re.compile(r"[^\W\d_]++(?:['’-][^\W\d_]++)*+|\d++|[^\w\s]")
_SENTENCE_END: Final = frozenset(".!?\n")
# The tagger's time grows with the square of a word's length; model text may hold a word of 10,000 letters.
_LONGEST_SENTENCE = 1000  # words; the tagger fails on a line of 200,000
_LONGEST_WORD: Final = 32

_LEXICAL: Final = "VV"
_HAVE_OR_DO: Final = ("VH", "VD")  # "person has a drink": a verb of its own unless one follows at once
_FINITE: Final = ("VVZ", "VVD", "VVB", "VB", "VH", "VD", "VM")
_SUBJECT: Final = ("NN", "PN", "NP")
_RELATIVE: Final = frozenset({"that", "which", "who"})
_PEOPLE: Final = frozenset({"person", "people", "man", "woman", "child", "kid", "boy", "girl", "guy", "lady"})
_PERSONAL: Final = frozenset({"he", "she", "they", "we", "you", "i"})
_TAKEN_FOR_ANOTHER: Final = ("NN", "AJ", "AV0", "UNC")
_PHRASE_START: Final = ("AT", "DP", "DT", "PRP", "PRF", "AVP", "TO", "CJ", "PUN", "AV0")
_AFTER_VERB: Final = (*_PHRASE_START, "VVG", "NN", "PN", "AJ", "CRD")


@functools.cache
def _tagger() -> HanoverTagger:
    return HanoverTagger("morphmodel_en.pgz")


def main_verbs(text: str, repair: bool = True) -> list[tuple[int, int]]:
    """Start and end of the main verbs of a text, in order; any text is accepted. ``repair``: see above.

    >>> main_verbs("person open the box")
    [(7, 11)]
    """
    found: list[tuple[int, int]] = []
    for tokens in _sentences(text):
        tags = [str(tag) for _, _, tag in _tagger().tag_sent([match.group() for match in tokens])]
        if repair:
            tags = _repaired([match.group().lower() for match in tokens], tags)
        found += [tokens[i].span() for i in _main_positions(tags)]
    return found


def _sentences(text: str) -> list[list[re.Match[str]]]:
    """Tokens by sentence: the tagger reads one sentence at a time."""
    sentences: list[list[re.Match[str]]] = [[]]
    for match in _TOKEN.finditer(text):
        if len(match.group()) <= _LONGEST_WORD:
            sentences[-1].append(match)
        if match.group() in _SENTENCE_END or len(sentences[-1]) == _LONGEST_SENTENCE:
            sentences.append([])
    return [tokens for tokens in sentences if tokens]


def _main_positions(tags: Sequence[str]) -> list[int]:
    """Positions of the main verbs: every lexical verb, and have or do where they help no other verb."""
    return [
        i
        for i, tag in enumerate(tags)
        if tag.startswith(_LEXICAL)
        or (tag.startswith(_HAVE_OR_DO) and not any(after.startswith(("VV", "VB")) for after in tags[i + 1 : i + 4]))
    ]


def _repaired(words: Sequence[str], tags: Sequence[str]) -> list[str]:
    """The tags of one sentence with the verbs that the tagger took for something else; words in lower case."""
    tags = list(tags)
    for i in range(len(tags)):
        if _is_ing_verb(words, tags, i):
            tags[i] = "VVG"
        elif _follows_relative_clause(words, tags, i):
            tags[i] = "VVZ"
        elif i > 0 and tags[i - 1] == "EX0" and tags[i].startswith("VB"):
            tags[i] = "VVZ"  # "there is a person": the release counts this be as a verb of its own
    missed = _missed_verb(words, tags)
    if missed is not None:
        tags[missed] = "VVZ"
        # "slides left": what the tagger took for the verb is a direction
        tags[missed + 1 :] = ["AV0" if words[i] == "left" else tags[i] for i in range(missed + 1, len(tags))]
    return tags


def _is_ing_verb(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """A word in -ing, taken for a noun or an adjective, at a place where captions have a verb.

    At the start ("sneezing into a tissue"), after a verb or an adverb ("is sneezing", "still eating"), a noun after
    its subject ("person snuggling with a pillow"), and before a person ("a smiling person"). Not elsewhere: "the
    living room", "a washing machine".
    """
    if not (words[i].endswith("ing") and tags[i].startswith(("NN", "AJ", "UNC")) and _can_be_verb(words[i])):
        return False
    if i == 0 or tags[i - 1].startswith(("VB", "VV", "AV0")):
        return True
    if i + 1 < len(words) and words[i + 1] in _PEOPLE:
        return True
    return not tags[i].startswith("AJ") and tags[i - 1].startswith(_SUBJECT)


def _follows_relative_clause(words: Sequence[str], tags: Sequence[str], i: int) -> bool:
    """True for a verb after "that is red" that is taken for the red thing: "a square that is red shakes"."""
    if i < 3 or tags[i] != "NN2" or not tags[i - 1].startswith("AJ"):
        return False
    return words[i - 3] in _RELATIVE and tags[i - 2].startswith("VB") and _can_be_verb(words[i])


def _missed_verb(words: Sequence[str], tags: Sequence[str]) -> int | None:
    """The verb before the first finite one that the tagger saw, if any: "person drinks from a cup", noun noun.

    Where it saw a finite verb later on, the subject must be a person and what follows must start a new phrase:
    "person laugh as they look at it", but "person light switch turns".
    """
    finite = next((i for i in range(len(tags)) if _is_finite(tags, i)), len(tags))
    certain = finite < len(tags)
    for i in range(1, finite):
        following = tags[i + 1] if i + 1 < len(tags) else "PUN"
        still_eating = tags[i] == "AV0" and following.startswith(_LEXICAL)
        if still_eating or not (tags[i].startswith(_TAKEN_FOR_ANOTHER) and _can_be_verb(words[i])):
            continue
        base_form = not words[i].endswith(("s", "ing"))
        person = words[i - 1] in _PEOPLE | _PERSONAL
        if certain:
            starts = following.startswith((*_PHRASE_START, "VVG")) and words[i] not in _PEOPLE
            found = person and starts
        elif base_form:
            # captions say "person open", but hardly "dog open": "a view of the garden bed" has no verb
            found = (person or words[i - 1] in _RELATIVE or tags[i - 1] == "NN2") and following.startswith(_AFTER_VERB)
        else:
            found = tags[i - 1].startswith(_SUBJECT) or words[i - 1] in _RELATIVE
        if found:
            return i
    return None


def _is_finite(tags: Sequence[str], i: int) -> bool:
    """A finite verb; a bare infinitive counts too, since the tagger takes "person open" for one."""
    return tags[i].startswith(_FINITE) or (tags[i] == "VVI" and not (i > 0 and tags[i - 1] == "TO0"))


@functools.lru_cache(maxsize=4096)
def _can_be_verb(word: str) -> bool:
    return bool(lemminflect.getAllLemmas(word, upos="VERB"))
