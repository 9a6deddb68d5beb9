"""Scenes for every kind of query: the drawn truth beside the oracle's, and what makes each kind hard."""

import random
from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from tvg_lightning.data.moving_shapes.drawing import CANVAS_PX, CLOCK_PX, draw_frame
from tvg_lightning.data.moving_shapes.kinds import (
    MAX_ASKED_OF_LONG,
    AskedScene,
    deeds_of,
    draw_scene_for,
    draw_windows,
)
from tvg_lightning.data.moving_shapes.queries import KINDS, Deed, Kind, deed_of, true_windows, words_apart
from tvg_lightning.data.moving_shapes.sentences import query_for, wordings
from tvg_lightning.data.moving_shapes.world import ACTIONS, Pairs, draw_scene, is_unseen_pair
from tvg_lightning.schema import Span

NUM_SCENES = 400  # of each kind and each choice of pairs: 8,400 in all
PAIRS: tuple[Pairs, ...] = ("seen", "unseen", "any")
SHORT = [kind for kind in KINDS if kind != "long"]


@cache
def drawn_of(kind: Kind, pairs: Pairs) -> list[AskedScene]:
    return [draw_scene_for(kind, seed, pairs) for seed in range(NUM_SCENES)]


def scenes_of(kind: Kind) -> list[AskedScene]:
    return [drawn for pairs in PAIRS for drawn in drawn_of(kind, pairs)]


def deeds(drawn: AskedScene) -> list[Deed]:
    return [deed_of(drawn.scene, event) for event in drawn.scene.events]


def asked_deeds(drawn: AskedScene) -> list[Deed]:
    return [Deed(asked.query.subject, asked.query.action) for asked in drawn.asked]


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_agrees_and_no_query_is_ambiguous(kind: Kind) -> None:
    for drawn in scenes_of(kind):
        assert drawn.asked
        assert len({asked.query for asked in drawn.asked}) == len(drawn.asked)
        for asked in drawn.asked:
            assert asked.query.kind == kind
            assert true_windows(drawn.scene, asked.query) == asked.windows
            assert len(asked.windows) in {"absent": (0,), "every": (2, 3)}.get(kind, (1,))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_is_the_same_scene_and_no_other_has_its_noise(kind: Kind) -> None:
    for pairs in PAIRS:
        assert [draw_scene_for(kind, seed, pairs) for seed in range(20)] == drawn_of(kind, pairs)[:20]
    seeds = Counter(drawn.scene.seed for other in KINDS for drawn in drawn_of(other, "seen"))
    assert max(seeds.values()) == 1


def test_plain_is_the_scene_of_before_with_its_queries() -> None:
    for seed, drawn in enumerate(drawn_of("plain", "seen")):
        assert drawn.scene == draw_scene(seed, "seen")
        rng, other = random.Random(seed), random.Random(seed)
        for asked, event in zip(drawn.asked, drawn.scene.events, strict=True):
            query = rng.choice(wordings(asked.query.subject, asked.query.action))
            assert query == query_for(other, drawn.scene, event) and asked.windows == (event.window,)


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_only_allowed_pairs_are_done_or_asked_for(kind: Kind, pairs: Pairs) -> None:
    unseen = set()
    for drawn in drawn_of(kind, pairs):
        named = [asked.query.other for asked in drawn.asked if asked.query.other is not None]
        for deed in (*deeds(drawn), *asked_deeds(drawn), *named):
            assert deed in deeds_of("any")
            unseen.add(is_unseen_pair(*deed.subject.split(" "), deed.action))
    assert unseen == {"seen": {False}, "unseen": {True}, "any": {False, True}}[pairs]


@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_on_the_grid_and_in_the_video(kind: Kind) -> None:
    lengths = (60.0, 180.0) if kind == "long" else (8.0, 32.0)
    for drawn in scenes_of(kind):
        scene = drawn.scene
        assert lengths[0] <= scene.duration_s <= lengths[1] and (2 * scene.duration_s).is_integer()
        assert list(scene.events) == sorted(scene.events, key=lambda event: event.window)
        for start_s, end_s in (event.window for event in scene.events):
            assert (2 * start_s).is_integer() and (2 * end_s).is_integer()
            assert start_s >= 0.5 and 2.5 <= end_s - start_s <= 8.0 and end_s <= scene.duration_s - 0.5
        assert {event.actor for event in scene.events} == set(range(len(scene.actors)))
        assert len({actor.subject for actor in scene.actors}) == len(scene.actors)


@pytest.mark.parametrize("kind", KINDS)
def test_events_meet_only_where_asked_for(kind: Kind) -> None:
    for drawn in scenes_of(kind):
        windows = [event.window for event in drawn.scene.events]
        meet = any(b.start_s < a.end_s for a, b in pairwise(windows))
        assert meet == any(asked.query.relation == "while" for asked in drawn.asked)


@pytest.mark.parametrize("kind", ["ordinal", "every", "relation"])
def test_times_of_one_deed_lie_two_seconds_apart(kind: Kind) -> None:
    for drawn in scenes_of(kind):
        (deed,) = set(asked_deeds(drawn))
        windows = [e.window for e in drawn.scene.events if deed_of(drawn.scene, e) == deed]
        assert len(windows) in (2, 3)
        assert all(b.start_s - a.end_s >= 2.0 for a, b in pairwise(windows))


def test_ordinals_are_each_asked_for_and_other_deeds_come_between() -> None:
    drawn = scenes_of("ordinal")
    counts = Counter(asked.query.ordinal for d in drawn for asked in d.asked)
    assert set(counts) == {"first", "second", "third", "last"} and min(counts.values()) > NUM_SCENES / 3
    assert sum(len(set(deeds(d))) > 1 for d in drawn) > 0.7 * len(drawn)


@pytest.mark.parametrize("relation", ["after", "before", "while"])
def test_the_other_event_must_be_found(relation: str) -> None:
    """It happens once, and without it the answer is as likely the first time of the asked deed as the last."""
    places: Counter[tuple[int, int]] = Counter()
    for drawn in scenes_of("relation"):
        for asked in drawn.asked:
            if asked.query.relation == relation:
                assert deeds(drawn).count(asked.query.other) == 1
                assert asked.query.other.subject != asked.query.subject
                deed = Deed(asked.query.subject, asked.query.action)
                times = [e.window for e in drawn.scene.events if deed_of(drawn.scene, e) == deed]
                places[len(times), times.index(asked.windows[0])] += 1
    assert set(places) == {(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)}
    for times in (2, 3):
        share = [places[times, k] / sum(places[times, j] for j in range(times)) for k in range(times)]
        assert share == pytest.approx([1 / times] * times, abs=0.1)


def test_while_asks_about_two_events_with_company_each() -> None:
    found = 0
    for drawn in scenes_of("relation"):
        if drawn.asked[0].query.relation == "while":
            found += 1
            first, second = drawn.asked
            assert first.windows != second.windows and first.query.other != second.query.other
            for asked in drawn.asked:
                (other,) = (e.window for e in drawn.scene.events if deed_of(drawn.scene, e) == asked.query.other)
                (window,) = asked.windows
                assert min(window.end_s, other.end_s) - max(window.start_s, other.start_s) >= 2.0
    assert found > NUM_SCENES / 4


def test_who_acts_at_the_same_time_is_on_another_side() -> None:
    """No pixel, but for the blur of an edge, is of two actors; and each keeps a good part outside of the clock."""
    together = [d for d in drawn_of("relation", "any") if d.asked[0].query.relation == "while"][:20]
    assert {e.action for d in together for e in d.scene.events} == set(ACTIONS)
    for drawn in together:
        scene = replace(drawn.scene, noise=0.0, clock=False)
        for asked in drawn.asked:
            met = [e for e in scene.events if deed_of(scene, e) == asked.query.other or e.window == asked.windows[0]]
            share = Span(max(e.window.start_s for e in met), min(e.window.end_s for e in met))
            empty = draw_frame(replace(scene, events=()), 0.0).astype(int)
            for time_s in np.arange(share.start_s, share.end_s, 0.5):
                alone = [draw_frame(replace(scene, events=(event,)), time_s) for event in met]
                first, second = (np.abs(frame - empty).sum(axis=2) > 120 for frame in alone)
                assert not (first & second).any(), (asked.query, time_s)


def test_every_look_alike_is_one_word_from_another() -> None:
    words: Counter[int] = Counter()
    for drawn in scenes_of("look_alike"):
        assert asked_deeds(drawn) == deeds(drawn) and len(set(deeds(drawn))) == len(deeds(drawn)) > 1
        for deed in deeds(drawn):
            near = [other for other in deeds(drawn) if words_apart(deed, other) == 1]
            assert near
            for other in near:
                colour, shape = (a != b for a, b in zip(deed.subject.split(), other.subject.split(), strict=True))
                words[0 if colour else 1 if shape else 2] += 1
    assert min(words.values()) > 0.2 * sum(words.values())  # colour, shape and action alike


def test_what_is_absent_is_most_often_one_word_from_what_happens() -> None:
    apart = Counter(
        min(words_apart(deed, other) for other in deeds(drawn))
        for drawn in scenes_of("absent")
        for deed in asked_deeds(drawn)
    )
    assert set(apart) == {1, 3}
    assert 0.65 < apart[1] / sum(apart.values()) < 0.85


def test_absent_scenes_are_drawn_as_plain_ones() -> None:
    for drawn in drawn_of("absent", "seen")[:50]:
        assert drawn.scene == draw_scene(drawn.scene.seed, "seen")


def test_long_scenes_are_long_and_full() -> None:
    drawn = scenes_of("long")
    assert {len(d.scene.events) for d in drawn} == set(range(8, 25))
    assert {len(d.asked) for d in drawn} == {MAX_ASKED_OF_LONG}
    assert {d.scene.fps for d in drawn} == {8.0, 10.0, 12.0, 15.0}
    for d in drawn:
        assert len(set(deeds(d))) == len(deeds(d))
        assert all(b.window.start_s - a.window.end_s >= 1.0 for a, b in pairwise(d.scene.events))


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_windows_leave_room_to_tell_times_apart(num: int) -> None:
    rng = random.Random(num)
    for _ in range(200):
        windows, duration_s = draw_windows(rng, num)
        assert len(windows) == num and 8.0 <= duration_s <= 32.0 and windows[-1].end_s <= duration_s - 1.0
        assert all(3.0 <= end_s - start_s <= 8.0 for start_s, end_s in windows)
        assert all(b.start_s - a.end_s >= 2.0 for a, b in pairwise(windows))


@pytest.mark.parametrize("kind", SHORT)
def test_who_acts_is_seen_in_every_second(kind: Kind) -> None:
    """At two frames a second, between the bars of the clock: of every two frames at least one shows the actor.

    A blinking one is hidden for three quarters of a second.
    """
    for drawn in drawn_of(kind, "any")[:12]:
        scene = replace(drawn.scene, noise=0.0, distractors=())
        rows = slice(CLOCK_PX, CANVAS_PX - CLOCK_PX)
        for event in scene.events:
            alone = replace(scene, events=(event,))
            times = np.arange(event.window.start_s, event.window.end_s, 0.5)
            empty = draw_frame(replace(scene, events=()), 0.0)[rows].astype(int)
            shown = [(np.abs(draw_frame(alone, t)[rows] - empty).sum(axis=2) > 60).sum() > 40 for t in times]
            allowed = 2 if event.action == "blink" else 1
            assert not any(not any(shown[i : i + allowed + 1]) for i in range(len(shown) - allowed)), event
