"""Moving shapes, the embedded benchmark: what can happen in a video, drawn at random from a seed.

A plain scene has one to four events; in an event one actor (a coloured shape) comes in, does one visible thing at a
constant pace, and leaves. Events do not overlap, and no (actor, action) pair happens twice, so that a
sentence about a subject and a verb is true in exactly one window. Grey shapes stand about and do nothing, and a
clock is burnt into the picture. Scenes for harder questions are drawn in ``kinds``.
Everything follows from ``random.Random(seed)``.
"""

import hashlib
import random
from dataclasses import dataclass
from typing import Literal

from tvg_lightning.schema import Span

COLOURS = {
    "red": (214, 40, 40),
    "green": (42, 157, 60),
    "blue": (40, 80, 214),
    "yellow": (236, 200, 20),
    "purple": (150, 50, 180),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross")
ACTIONS = ("rise", "fall", "slide", "spin", "blink", "grow", "shrink", "shake")

FRAME_RATES = (8.0, 10.0, 12.0, 15.0, 24.0, 25.0, 30.0)
_RATE_WEIGHTS = (3, 3, 3, 3, 1, 1, 1)  # fast files take longest to draw; a few are enough
DISTRACTOR = "grey"
HALF_SECOND = 0.5  # windows are annotated to the half second
COMPOSITIONAL_SHARE = 0.15

Pairs = Literal["seen", "unseen", "any"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A coloured shape, its place at the start (pixels of a 112 x 112 canvas) and its radius."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float

    @property
    def subject(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Event:
    """One actor does one thing during one window. ``direction`` is +1 or -1 (for slide and spin)."""

    actor: int
    action: str
    window: Span
    direction: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is seen in one video."""

    seed: int
    duration_s: float
    fps: float
    background: tuple[int, int, int]
    noise: float  # standard deviation of the pixel noise, in grey levels
    actors: tuple[Actor, ...]
    distractors: tuple[Actor, ...]  # grey, always there, never doing anything
    events: tuple[Event, ...]  # in order of time
    clock: bool = True  # burnt in: two bars


def is_unseen_pair(colour: str, shape: str, action: str) -> bool:
    """True for the (subject, verb) pairs that are kept out of training: a fixed share, chosen by hash."""
    digest = hashlib.sha256(f"{colour} {shape} {action}".encode()).digest()
    return digest[0] < COMPOSITIONAL_SHARE * 256


def can_act(shape: str, action: str) -> bool:
    """False for a circle that spins, which looks like a circle that does not."""
    return not (shape == "circle" and action == "spin")


def may_act(colour: str, shape: str, action: str, pairs: Pairs) -> bool:
    """True where the shape can do it and the (subject, verb) pair is one of ``pairs``."""
    return can_act(shape, action) and (pairs == "any" or is_unseen_pair(colour, shape, action) == (pairs == "unseen"))


def draw_scene(seed: int, pairs: Pairs = "seen") -> Scene:
    """Draw a scene. ``pairs``: "seen" uses training pairs only, "unseen" those kept out of training."""
    rng = random.Random(seed)
    windows, duration_s = _draw_windows(rng)
    actors = tuple(
        Actor(colour, rng.choice(SHAPES), rng.uniform(42, 70), rng.uniform(42, 70), rng.uniform(22, 26))
        for colour in rng.sample(list(COLOURS), len(windows))
    )
    distractors = draw_distractors(rng)
    events = _draw_events(rng, windows, actors, pairs)
    if events is None:  # the drawn subjects cannot fill the windows with allowed pairs
        return draw_scene(_next_seed(seed), pairs)
    grey = rng.randint(20, 60)
    fps = rng.choices(FRAME_RATES, _RATE_WEIGHTS)[0]
    return Scene(seed, duration_s, fps, (grey, grey, grey), rng.uniform(0, 4), actors, distractors, events)


def draw_distractors(rng: random.Random) -> tuple[Actor, ...]:
    """None, one or two small grey shapes anywhere."""
    return tuple(
        Actor(DISTRACTOR, rng.choice(SHAPES), rng.uniform(10, 102), rng.uniform(10, 102), rng.uniform(5, 9))
        for _ in range(rng.choice((0, 1, 2)))
    )


def _draw_windows(rng: random.Random) -> tuple[list[Span], float]:
    """One to four windows of 3 to 8 s with gaps of 1 to 4 s, on the half-second grid; 8 to 32 s in all."""
    while True:
        time_s, windows = 0.0, []
        for _ in range(rng.choice((1, 2, 2, 3, 3, 4))):
            time_s += HALF_SECOND * rng.randint(2, 8)
            end_s = time_s + HALF_SECOND * rng.randint(6, 16)
            windows.append(Span(time_s, end_s))
            time_s = end_s
        duration_s = time_s + HALF_SECOND * rng.randint(2, 8)
        if 8.0 <= duration_s <= 32.0:
            return windows, duration_s


def _draw_events(
    rng: random.Random, windows: list[Span], actors: tuple[Actor, ...], pairs: Pairs
) -> tuple[Event, ...] | None:
    """Give every window an actor and an action that it may do; None where an actor may do nothing."""
    events = []
    for index, (window, actor) in enumerate(zip(windows, actors, strict=True)):
        allowed = [action for action in ACTIONS if may_act(actor.colour, actor.shape, action, pairs)]
        if not allowed:
            return None
        events.append(Event(index, rng.choice(allowed), window, rng.choice((-1, 1))))
    return tuple(events)


def _next_seed(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"again {seed}".encode()).digest()[:8], "big")
