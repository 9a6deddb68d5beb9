"""Scenes for every kind of query, drawn together with what is asked about them.

- plain: a deed that is done once in a short video.
- ordinal: the first, second, third or last time of a deed that is done two or three times.
- relation: a deed that is done two or three times, once after, before or while another one that is named.
- look_alike: a deed beside others that differ from it by one word.
- every: all two or three windows of a deed.
- absent: a deed that is not done, most often one word from one that is.
- long: one to three minutes with 8 to 24 deeds, each done once.

Who acts is known by colour and shape. All deeds of a scene, and those asked for in vain, are ones that training may
hold ("seen") or ones that it may not ("unseen"). Where a deed is done twice, at least two seconds lie between, so that
the times can be told apart at two frames a second.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from tvg_lightning.data.moving_shapes.drawing import SHAKE_PX
from tvg_lightning.data.moving_shapes.queries import (
    Deed,
    Kind,
    Ordinal,
    Query,
    Relation,
    deed_of,
    deed_words,
    words_apart,
)
from tvg_lightning.data.moving_shapes.world import (
    ACTIONS,
    COLOURS,
    FRAME_RATES,
    HALF_SECOND,
    SHAPES,
    Actor,
    Event,
    Pairs,
    Scene,
    draw_distractors,
    draw_scene,
    may_act,
)
from tvg_lightning.schema import Span

MAX_ASKED_OF_LONG = 4  # as many as of the fullest plain scene: a long video does not outweigh the others
HARD_SHARE = 0.75  # of what is asked for in vain: one word from what happens
WHILE_SHARE = 1 / 3  # of relation
_SHORT_S, _LONG_S = Span(8.0, 32.0), Span(60.0, 180.0)  # lengths of videos; the clock goes round in 32 s
_SLOW_RATES = FRAME_RATES[:4]  # of long videos

# while: the asked actor on one half of the canvas, the others on the other one
_SIDES_PX = {"beside": (28.0, 84.0), "above": (30.0, 82.0)}
_REACH_PX = 26.0  # from the middle of a side to its edge
_LARGEST_SCALE = {"grow": 1.6, "shrink": 1.6}
_CROSS_REACH = 1.1  # of its radius; no shape reaches farther
_MIDDLE_PX, _RADIUS_PX = (42.0, 70.0), (22.0, 26.0)
_LEAVES_ITS_SIDE = {"beside": ("slide",), "above": ("rise", "fall")}


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and the windows in which it is true as they were drawn."""

    query: Query
    windows: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class AskedScene:
    """A scene and what is asked about it."""

    scene: Scene
    asked: tuple[Asked, ...]


@dataclass(slots=True)
class _Plot:
    """All deeds in order of time, and every query with the places in that order that are its answer."""

    deeds: list[Deed]
    asked: list[tuple[Query, tuple[int, ...]]] = field(default_factory=list)


def draw_scene_for(kind: Kind, seed: int, pairs: Pairs = "seen") -> AskedScene:
    """Draw a scene and its queries; ``plain`` gives ``draw_scene(seed, pairs)`` itself. ``pairs`` as there."""
    if kind == "plain":
        scene = draw_scene(seed, pairs)
        queries = [Query("plain", *deed_of(scene, event)) for event in scene.events]
        return AskedScene(scene, tuple(Asked(q, (e.window,)) for q, e in zip(queries, scene.events, strict=True)))
    for attempt in itertools.count():
        drawn = _draw(kind, random.Random(f"{kind} {pairs} {seed} {attempt}"), pairs)
        if drawn is not None:
            return drawn
    raise AssertionError("unreachable")


def _draw(kind: Kind, rng: random.Random, pairs: Pairs) -> AskedScene | None:
    """One try; None where the drawn deeds have no partners among the allowed ones."""
    if kind == "absent":
        return _absent(rng, pairs)
    if kind == "relation" and rng.random() < WHILE_SHARE:
        return _while(rng, pairs)
    plot = _PLOTS[kind](rng, deeds_of(pairs))
    if plot is None:
        return None
    windows, duration_s = draw_windows(rng, len(plot.deeds), long=kind == "long")
    actors = {
        subject: _actor(subject, rng.uniform(*_MIDDLE_PX), rng.uniform(*_MIDDLE_PX), rng.uniform(*_RADIUS_PX))
        for subject in dict.fromkeys(deed.subject for deed in plot.deeds)
    }
    rates = _SLOW_RATES if kind == "long" else FRAME_RATES
    scene = _scene(rng, list(zip(plot.deeds, windows, strict=True)), actors, duration_s, rates)
    return AskedScene(scene, tuple(Asked(q, tuple(windows[i] for i in places)) for q, places in plot.asked))


@cache
def deeds_of(pairs: Pairs) -> tuple[Deed, ...]:
    """Every deed that may be done."""
    everything = itertools.product(COLOURS, SHAPES, ACTIONS)
    return tuple(Deed(f"{c} {s}", a) for c, s, a in everything if may_act(c, s, a, pairs))


def draw_windows(rng: random.Random, num: int, long: bool = False) -> tuple[list[Span], float]:
    """``num`` windows on the half-second grid and the length of the video.

    Long: windows of 3 to 8 s and gaps of 1 to 4 s, as in plain scenes. Short: gaps between windows of at least 2 s, and
    less room the more windows there are.
    """
    longest, gaps, edges = 16, (2, 8), (2, 8)
    if not long:
        longest = {1: 16, 2: 16, 3: 13}.get(num, 11)
        gaps, edges = (4, 8 if num < 4 else 6), (2, 6)
    allowed = _LONG_S if long else _SHORT_S
    while True:
        time_s, windows = 0.0, []
        for index in range(num):
            time_s += HALF_SECOND * rng.randint(*(gaps if index else edges))
            windows.append(Span(time_s, time_s + HALF_SECOND * rng.randint(6, longest)))
            time_s = windows[-1].end_s
        duration_s = time_s + HALF_SECOND * rng.randint(*edges)
        if allowed.start_s <= duration_s <= allowed.end_s:
            return windows, duration_s


def _actor(subject: str, x: float, y: float, radius: float) -> Actor:
    colour, shape = subject.split(" ")
    return Actor(colour, shape, x, y, radius)


def _scene(
    rng: random.Random,
    happening: Sequence[tuple[Deed, Span]],
    actors: dict[str, Actor],
    duration_s: float,
    rates: Sequence[float] = FRAME_RATES,
) -> Scene:
    """Everything else that is seen; the seed of the noise is drawn, so that no two kinds share one."""
    numbers = {subject: number for number, subject in enumerate(actors)}
    events = [Event(numbers[d.subject], d.action, window, rng.choice((-1, 1))) for d, window in happening]
    events.sort(key=lambda event: event.window)
    grey = rng.randint(20, 60)
    weights = [3 if rate <= 15 else 1 for rate in rates]  # fast files take longest to draw
    return Scene(
        seed=rng.getrandbits(63),
        duration_s=duration_s,
        fps=rng.choices(rates, weights)[0],
        background=(grey, grey, grey),
        noise=rng.uniform(0, 4),
        actors=tuple(actors.values()),
        distractors=draw_distractors(rng),
        events=tuple(events),
    )


# ---- which deeds go together


def _look_alikes(deed: Deed, pool: Sequence[Deed]) -> list[list[Deed]]:
    """The deeds one word away, by the word: other colours, other shapes, other actions; no empty list."""
    near = [other for other in pool if words_apart(deed, other) == 1]
    by_word = [[o for o in near if deed_words(o)[word] != deed_words(deed)[word]] for word in range(3)]
    return [group for group in by_word if group]


def _draw_look_alike(rng: random.Random, deed: Deed, pool: Sequence[Deed]) -> Deed | None:
    """One deed one word away, each of the three words alike often; None where there is none."""
    groups = _look_alikes(deed, pool)
    return rng.choice(rng.choice(groups)) if groups else None


def _bystanders(rng: random.Random, num: int, named: Sequence[Deed], pool: Sequence[Deed]) -> list[Deed]:
    """Deeds that are not asked for, every other one a look-alike of one that is named."""
    found: list[Deed] = []
    for _ in range(num):
        free = [deed for deed in pool if deed not in (*named, *found)]
        near = _draw_look_alike(rng, rng.choice(named), free) if rng.random() < 0.5 else None
        found.append(near or rng.choice(free))
    return found


# ---- one plot a kind


def _repeated(rng: random.Random, pool: Sequence[Deed]) -> tuple[Deed, list[Deed], tuple[int, ...]]:
    """A deed, all that happens, and the two or three places of that deed in it."""
    deed, times = rng.choice(pool), rng.choice((2, 3))
    deeds = [deed] * times + _bystanders(rng, rng.choice((1, 2) if times == 2 else (0, 1)), [deed], pool)
    rng.shuffle(deeds)
    return deed, deeds, tuple(i for i, other in enumerate(deeds) if other == deed)


def _ordinal(rng: random.Random, pool: Sequence[Deed]) -> _Plot | None:
    deed, deeds, places = _repeated(rng, pool)
    names: tuple[Ordinal, ...] = ("first", "second", "third")
    plot = _Plot(deeds)
    for name, place in zip(names, places, strict=False):
        is_last = place == places[-1] and rng.random() < 0.5
        plot.asked.append((Query("ordinal", *deed, ordinal="last" if is_last else name), (place,)))
    return plot


def _every(rng: random.Random, pool: Sequence[Deed]) -> _Plot | None:
    deed, deeds, places = _repeated(rng, pool)
    return _Plot(deeds, [(Query("every", *deed), places)])


def _after_and_before(rng: random.Random, pool: Sequence[Deed]) -> _Plot | None:
    """The other deed anywhere among the times of the asked one: neither the first nor the last is the likely answer."""
    deed, times = rng.choice(pool), rng.choice((2, 3))
    other = rng.choice([d for d in pool if d.subject != deed.subject])
    before = rng.randint(0, times)  # times of the deed before the other
    deeds = [*[deed] * before, other, *[deed] * (times - before)]
    for bystander in _bystanders(rng, rng.choice((0, 1)) if times == 2 else 0, [deed, other], pool):
        deeds.insert(rng.randint(0, len(deeds)), bystander)
    places = [i for i, done in enumerate(deeds) if done == deed]
    plot = _Plot(deeds)
    if before < times:
        plot.asked.append((_relation(deed, "after", other), (places[before],)))
    if before > 0:
        plot.asked.append((_relation(deed, "before", other), (places[before - 1],)))
    return plot


def _relation(deed: Deed, relation: Relation, other: Deed) -> Query:
    return Query("relation", *deed, relation=relation, other=other)


def _look_alike(rng: random.Random, pool: Sequence[Deed]) -> _Plot | None:
    """A deed and one to three others, each one word from it: all of them have a look-alike, and are asked for."""
    deed = rng.choice(pool)
    deeds = [deed]
    for _ in range(rng.choice((1, 2, 3))):
        near = _draw_look_alike(rng, deed, [d for d in pool if d not in deeds])
        if near is not None:
            deeds.append(near)
    if len(deeds) == 1:
        return None
    rng.shuffle(deeds)
    return _Plot(deeds, [(Query("look_alike", *d), (place,)) for place, d in enumerate(deeds)])


def _long(rng: random.Random, pool: Sequence[Deed]) -> _Plot | None:
    deeds = rng.sample(pool, rng.randint(8, 24))
    asked = sorted(rng.sample(range(len(deeds)), MAX_ASKED_OF_LONG))
    return _Plot(deeds, [(Query("long", *deeds[place]), (place,)) for place in asked])


_PLOTS: dict[Kind, Callable[[random.Random, Sequence[Deed]], _Plot | None]] = {
    "ordinal": _ordinal,
    "relation": _after_and_before,
    "look_alike": _look_alike,
    "every": _every,
    "long": _long,
}


# ---- kinds whose scenes are of another make


def _absent(rng: random.Random, pairs: Pairs) -> AskedScene | None:
    """A plain scene, asked for one thing in vain an event: the video itself does not tell that it is."""
    scene = draw_scene(rng.getrandbits(63), pairs)
    done = [deed_of(scene, event) for event in scene.events]
    asked: list[Deed] = []
    for deed in done:
        free = [d for d in deeds_of(pairs) if d not in (*done, *asked)]
        hard = rng.random() < HARD_SHARE
        easy = [] if hard else [d for d in free if all(words_apart(d, other) == 3 for other in done)]
        drawn = rng.choice(easy) if easy else _draw_look_alike(rng, deed, free)
        asked += [] if drawn is None else [drawn]
    return AskedScene(scene, tuple(Asked(Query("absent", *deed), ()) for deed in asked)) if asked else None


def _while(rng: random.Random, pairs: Pairs) -> AskedScene | None:
    """A deed done two or three times; during two of them another happens on the other side."""
    axis = rng.choice(("beside", "above"))
    pool = [deed for deed in deeds_of(pairs) if deed.action not in _LEAVES_ITS_SIDE[axis]]
    deed, times = rng.choice(pool), rng.choice((2, 2, 3))
    others = rng.sample([d for d in pool if d.subject != deed.subject], 2)
    windows, duration_s = draw_windows(rng, times)
    places = sorted(rng.sample(range(times), 2))
    met = [(other, _overlapping(rng, windows[place])) for other, place in zip(others, places, strict=True)]
    sides = rng.sample(_SIDES_PX[axis], 2)
    actors = {}
    for subject in dict.fromkeys(d.subject for d in (deed, *others)):
        along, across = rng.uniform(*_MIDDLE_PX), sides[subject != deed.subject]
        x, y = (across, along) if axis == "beside" else (along, across)
        most_px = min(_largest_radius_px(d.action) for d in (deed, *others) if d.subject == subject)
        actors[subject] = _actor(subject, x, y, rng.uniform(0.9 * most_px, most_px))
    scene = _scene(rng, [*((deed, window) for window in windows), *met], actors, duration_s)
    asked = [
        Asked(_relation(deed, "while", other), (windows[place],)) for other, place in zip(others, places, strict=True)
    ]
    return AskedScene(scene, tuple(asked))


def _largest_radius_px(action: str) -> float:
    """The radius with which even a cross that does this stays within its side; no larger than elsewhere."""
    reach_px = _REACH_PX - (SHAKE_PX if action == "shake" else 0.0)
    return min(_RADIUS_PX[0], reach_px / (_CROSS_REACH * _LARGEST_SCALE.get(action, 1.0)))


def _overlapping(rng: random.Random, window: Span) -> Span:
    """A window of 2.5 to 8 s, of which at least 2 s lie in the given one, and at most half a second on each side."""
    while True:
        start_s = window.start_s + HALF_SECOND * rng.randint(-1, 3)
        end_s = window.end_s + HALF_SECOND * rng.randint(-3, 1)
        shared_s = min(end_s, window.end_s) - max(start_s, window.start_s)
        if 2.5 <= end_s - start_s <= 8 and shared_s >= 2:
            return Span(start_s, end_s)
