"""Queries about a scene: their parts, their wordings, and the windows in which they are true.

Every query names a deed: a subject and an action. The rules by which a window answers it:

- nothing else is said: every window in which the deed is done (one, several, or none);
- ``ordinal``: of these, in order of time, the first, the second, the third or the last;
- ``relation``: of these, the first that starts at or after the end of the other deed ("after"), the last that ends at
  or before its start ("before"), or those that share some time with it ("while").
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from tvg_lightning.data.moving_shapes.sentences import FORMS, wordings
from tvg_lightning.data.moving_shapes.world import Event, Scene
from tvg_lightning.schema import Span

Kind = Literal["plain", "ordinal", "relation", "look_alike", "every", "absent", "long"]
Ordinal = Literal["first", "second", "third", "last"]
Relation = Literal["after", "before", "while"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_SOUNDS_LIKE_SEVERAL: Final = " again and again"  # not said of one time among several


class Deed(NamedTuple):
    """A subject and what it does: ("red square", "spin")."""

    subject: str
    action: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question of one kind about a deed. ``other``, a deed that is named and is no answer, goes with ``relation``."""

    kind: Kind
    subject: str
    action: str
    ordinal: Ordinal | None = None
    relation: Relation | None = None
    other: Deed | None = None

    def __post_init__(self) -> None:
        assert (self.ordinal is not None) == (self.kind == "ordinal")
        assert (self.relation is not None) == (self.other is not None) == (self.kind == "relation")


def query_wordings(query: Query) -> list[str]:
    """Every wording: sentences with a full stop, or "the second time …" and the like without."""
    if query.ordinal is not None:
        return _ordinal_wordings(query, query.ordinal)
    if query.relation is not None and query.other is not None:
        return _relation_wordings(query, query.relation, query.other)
    return _every_wordings(query) if query.kind == "every" else wordings(query.subject, query.action)


def true_windows(scene: Scene, query: Query) -> tuple[Span, ...]:
    """The windows in which the query is true, in order of time, from the events alone; () where there is none."""
    windows = _windows_of(scene, query.subject, query.action)
    match query.ordinal:
        case "last":
            return windows[-1:]
        case "first" | "second" | "third":
            place = ("first", "second", "third").index(query.ordinal)
            return windows[place : place + 1]
    if query.relation is None or query.other is None:
        return windows
    found: set[Span] = set()
    for other in _windows_of(scene, *query.other):
        match query.relation:
            case "after":
                found.update([window for window in windows if window.start_s >= other.end_s][:1])
            case "before":
                found.update([window for window in windows if window.end_s <= other.start_s][-1:])
            case "while":
                found.update(w for w in windows if w.start_s < other.end_s and w.end_s > other.start_s)
    return tuple(sorted(found))


def deed_of(scene: Scene, event: Event) -> Deed:
    """The subject and the action of an event."""
    return Deed(scene.actors[event.actor].subject, event.action)


def captions_of(scene: Scene) -> list[str]:
    """The events of a scene, each with its times, in order of time: "2.0 to 5.5: red square spins"."""
    return [
        f"{event.window.start_s:.1f} to {event.window.end_s:.1f}: {deed.subject} {FORMS[deed.action][0]}"
        for event in scene.events
        for deed in [deed_of(scene, event)]
    ]


def words_apart(deed: Deed, other: Deed) -> int:
    """The number of words, 0 to 3, in which two deeds differ: colour, shape, action.

    >>> words_apart(Deed("red square", "spin"), Deed("blue square", "shake"))
    2
    """
    return sum(a != b for a, b in zip(deed_words(deed), deed_words(other), strict=True))


def deed_words(deed: Deed) -> tuple[str, str, str]:
    """Colour, shape and action."""
    colour, shape = deed.subject.split(" ")
    return colour, shape, deed.action


def _windows_of(scene: Scene, subject: str, action: str) -> tuple[Span, ...]:
    return tuple(sorted(event.window for event in scene.events if deed_of(scene, event) == (subject, action)))


def _tails(action: str) -> list[str]:
    return [tail for tail in dict.fromkeys(FORMS[action][2]) if tail != _SOUNDS_LIKE_SEVERAL]


def _ordinal_wordings(query: Query, ordinal: Ordinal) -> list[str]:
    verb, participle, _ = FORMS[query.action]
    found = []
    for tail in _tails(query.action):
        found += [
            f"The {ordinal} time the {query.subject} {verb}{tail}",
            f"The {ordinal} time that the {query.subject} {verb}{tail}",
            f"The {query.subject} {verb}{tail} for the {ordinal} time.",
            f"The {query.subject} is {participle}{tail} for the {ordinal} time.",
            f"For the {ordinal} time, the {query.subject} {verb}{tail}.",
        ]
    return found


def _every_wordings(query: Query) -> list[str]:
    verb, participle, _ = FORMS[query.action]
    found = []
    for tail in _tails(query.action):
        found += [
            f"Every time the {query.subject} {verb}{tail}",
            f"Every time that the {query.subject} {verb}{tail}",
            f"Each time the {query.subject} {verb}{tail}",
            f"All the times the {query.subject} {verb}{tail}",
            f"Whenever the {query.subject} {verb}{tail}",
            f"All moments when the {query.subject} is {participle}{tail}",
        ]
    return found


def _relation_wordings(query: Query, relation: Relation, other: Deed) -> list[str]:
    verb, participle, _ = FORMS[query.action]
    other_verb, other_participle, _ = FORMS[other.action]
    then = f"the {other.subject} {other_verb}"
    found = []
    for tail in _tails(query.action):
        found += [
            f"The {query.subject} {verb}{tail} {relation} {then}.",
            f"The {query.subject} is {participle}{tail} {relation} {then}.",
            f"{relation.capitalize()} {then}, the {query.subject} {verb}{tail}.",
        ]
        match relation:
            case "after":
                found.append(f"The first time the {query.subject} {verb}{tail} after {then}")
            case "before":
                found.append(f"The last time the {query.subject} {verb}{tail} before {then}")
            case "while":
                found.append(f"The {query.subject} {verb}{tail} while the {other.subject} is {other_participle}.")
                found.append(f"The {query.subject} {verb}{tail} as {then}.")
    return found
