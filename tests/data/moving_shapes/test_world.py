"""What can happen in a scene: the promises on which the benchmark's annotations rest, on many scenes."""

import hashlib
import itertools
from itertools import pairwise

import pytest

from tvg_lightning.data.moving_shapes.world import (
    ACTIONS,
    COLOURS,
    FRAME_RATES,
    SHAPES,
    Pairs,
    Scene,
    can_act,
    draw_scene,
    is_unseen_pair,
    may_act,
)

NUM_SCENES = 300
KINDS: tuple[Pairs, ...] = ("seen", "unseen", "any")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Pairs:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def scenes(kind: Pairs) -> list[Scene]:
    return [draw_scene(seed, kind) for seed in range(NUM_SCENES)]


def test_the_same_seed_is_the_same_scene(kind: Pairs, scenes: list[Scene]) -> None:
    assert [draw_scene(seed, kind) for seed in range(20)] == scenes[:20]
    assert len(set(scenes)) == NUM_SCENES


def test_windows_lie_on_the_half_second_grid_and_do_not_overlap(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert 8.0 <= scene.duration_s <= 32.0 and (2 * scene.duration_s).is_integer()
        windows = [event.window for event in scene.events]
        assert 1 <= len(windows) <= 4
        for window in windows:
            assert (2 * window.start_s).is_integer() and (2 * window.end_s).is_integer()
            assert 3.0 <= window.end_s - window.start_s <= 8.0
        edges = [0.0, *itertools.chain(*windows), scene.duration_s]
        gaps = [edges[i + 1] - edges[i] for i in range(0, len(edges), 2)]
        assert all(1.0 <= gap <= 4.0 for gap in gaps)
        assert all(a < b for a, b in pairwise(edges))


def test_only_allowed_pairs_act(kind: Pairs, scenes: list[Scene]) -> None:
    unseen = set()
    for scene in scenes:
        for event in scene.events:
            actor = scene.actors[event.actor]
            assert can_act(actor.shape, event.action) and event.direction in (-1, 1)
            unseen.add(is_unseen_pair(actor.colour, actor.shape, event.action))
    assert unseen == {"seen": {False}, "unseen": {True}, "any": {False, True}}[kind]


def test_a_sentence_is_true_in_one_window_only(scenes: list[Scene]) -> None:
    for scene in scenes:
        subjects = [actor.subject for actor in scene.actors]
        assert len(set(subjects)) == len(subjects)
        deeds = [(event.actor, event.action) for event in scene.events]
        assert len(set(deeds)) == len(deeds)
        assert {event.actor for event in scene.events} == set(range(len(subjects)))  # nobody is only named


def test_all_there_is_occurs(scenes: list[Scene], kind: Pairs) -> None:
    assert {scene.fps for scene in scenes} == set(FRAME_RATES)
    assert {len(scene.events) for scene in scenes} == {1, 2, 3, 4}
    actions = {event.action for scene in scenes for event in scene.events}
    assert actions == set(ACTIONS)
    if kind == "seen":
        assert {actor.colour for scene in scenes for actor in scene.actors} == set(COLOURS)
        assert {actor.shape for scene in scenes for actor in scene.actors} == set(SHAPES)


def test_what_is_unseen_as_a_pair_is_seen_in_parts() -> None:
    pairs = [(c, s, a) for c in COLOURS for s in SHAPES for a in ACTIONS if can_act(s, a)]
    unseen = [pair for pair in pairs if is_unseen_pair(*pair)]
    assert 0.1 < len(unseen) / len(pairs) < 0.2
    for colour, shape, action in unseen:
        seen = [pair for pair in pairs if not is_unseen_pair(*pair)]
        assert any(pair[:2] == (colour, shape) for pair in seen)
        assert any(pair[2] == action for pair in seen)


def test_a_circle_does_not_spin() -> None:
    assert not can_act("circle", "spin") and can_act("circle", "rise") and can_act("square", "spin")


def test_pairs_that_may_act() -> None:
    assert not may_act("red", "circle", "spin", "any")
    for colour, shape, action in itertools.product(COLOURS, SHAPES, ACTIONS):
        seen, unseen = (may_act(colour, shape, action, pairs) for pairs in ("seen", "unseen"))
        assert seen + unseen == may_act(colour, shape, action, "any") == can_act(shape, action)
        assert not unseen or is_unseen_pair(colour, shape, action)


def test_plain_scenes_stay_as_they_are() -> None:
    """The packaged policy was trained on them."""
    drawn = repr([draw_scene(seed, pairs) for pairs in KINDS for seed in range(200)])
    assert hashlib.sha256(drawn.encode()).hexdigest().startswith("7fc2711e1cbc3995")
