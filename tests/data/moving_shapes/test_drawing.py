"""Where every actor is, by hand, and that its picture can be seen when it should and only then."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tvg_lightning.data.moving_shapes.drawing import (
    BLINK_PERIOD_S,
    CANVAS_PX,
    CLOCK_GREY,
    CLOCK_PX,
    Pose,
    draw_frame,
    pose_in,
)
from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, Actor, Event, Scene, draw_scene
from tvg_lightning.schema import Span

ACTOR = Actor("red", "square", 50.0, 60.0, 20.0)


def scene_of(actor: Actor, action: str = "spin", noise: float = 0.0) -> Scene:
    event = Event(0, action, Span(1.0, 4.0), 1)
    return Scene(5, 8.0, 10.0, (0, 0, 0), noise, (actor,), (), (event,))


def between_the_bars(scene: Scene, time_s: float) -> NDArray[np.uint8]:
    """The picture without the rows of the clock's two bars, at the top and at the bottom."""
    return draw_frame(scene, time_s)[CLOCK_PX:-CLOCK_PX]


@pytest.mark.parametrize(
    ("action", "direction", "elapsed_s", "pose"),
    [
        ("rise", 1, 1.0, Pose(50.0, 32.0)),  # 28 pixels a second, up
        ("rise", 1, 3.0, Pose(50.0, 88.0)),  # 60 - 84 = -24, and in again from below
        ("fall", 1, 1.0, Pose(50.0, 88.0)),
        ("fall", -1, 2.0, Pose(50.0, 4.0)),  # 116; direction is for slide and spin
        ("slide", 1, 1.0, Pose(78.0, 60.0)),
        ("slide", -1, 2.0, Pose(106.0, 60.0)),  # 50 - 56 = -6
        ("spin", 1, 2.0, Pose(50.0, 60.0, angle_deg=150.0)),
        ("spin", -1, 2.0, Pose(50.0, 60.0, angle_deg=-150.0)),
        ("blink", 1, 0.7, Pose(50.0, 60.0)),
        ("blink", 1, 0.8, Pose(50.0, 60.0, visible=False)),
        ("blink", 1, 1.6, Pose(50.0, 60.0)),
        ("grow", 1, 0.0, Pose(50.0, 60.0, scale=0.5)),
        ("grow", 1, 1.5, Pose(50.0, 60.0, scale=1.05)),
        ("grow", 1, 3.0, Pose(50.0, 60.0, scale=0.5)),  # and again from the start
        ("shrink", 1, 0.0, Pose(50.0, 60.0, scale=1.6)),
        ("shrink", 1, 1.5, Pose(50.0, 60.0, scale=1.05)),
        ("shake", 1, 0.0, Pose(50.0, 67.0)),
        ("shake", 1, 1 / 5.2, Pose(57.0, 60.0)),  # a quarter of a turn at 1.3 a second
    ],
)
def test_poses_by_hand(action: str, direction: int, elapsed_s: float, pose: Pose) -> None:
    found = pose_in(ACTOR, Event(0, action, Span(0.0, 9.0), direction), elapsed_s)
    assert found.visible == pose.visible
    values = (found.x, found.y, found.scale, found.angle_deg)
    assert values == pytest.approx((pose.x, pose.y, pose.scale, pose.angle_deg))


def drawn(actor: Actor, time_s: float = 1.0) -> NDArray[np.float64]:
    """How much of every pixel is covered: red by red level."""
    frame = between_the_bars(scene_of(actor), time_s)
    return frame[..., 0].astype(np.float64) / COLOURS["red"][0]


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", math.pi * 20**2),
        ("square", (2 * 0.88 * 20) ** 2),
        ("cross", 2 * (2.2 * 20) * (0.72 * 20) - (0.72 * 20) ** 2),  # two bars, their middle once
        ("triangle", 0.75 * math.sqrt(3) * (1.1 * 20) ** 2),  # equilateral, in a circle of 1.1 radii
    ],
)
def test_areas_by_hand(shape: str, area: float) -> None:
    cover = drawn(replace(ACTOR, shape=shape))
    assert cover.sum() == pytest.approx(area, rel=0.02)
    rows, columns = np.mgrid[CLOCK_PX : CANVAS_PX - CLOCK_PX, :CANVAS_PX] + 0.5
    assert (cover * columns).sum() / cover.sum() == pytest.approx(50.0, abs=0.2)
    assert (cover * rows).sum() / cover.sum() == pytest.approx(60.0, abs=0.2)


def test_what_leaves_on_one_side_comes_in_on_the_other() -> None:
    inside, across = drawn(ACTOR), drawn(replace(ACTOR, x=0.0))
    np.testing.assert_array_equal(np.roll(inside, -50, axis=1), across)


def test_a_frame_is_a_function_of_scene_and_time() -> None:
    scene = scene_of(ACTOR, noise=3.0)
    frame = draw_frame(scene, 2.0)
    assert frame.shape == (CANVAS_PX, CANVAS_PX, 3) and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, draw_frame(scene, 2.0))
    assert (draw_frame(replace(scene, seed=6), 2.0) != frame).any()


def test_noise_has_its_standard_deviation() -> None:
    grey = replace(scene_of(ACTOR, noise=4.0), background=(50, 50, 50), events=())
    values = between_the_bars(grey, 0.5).astype(np.float64)
    assert values.std() == pytest.approx(4.0, rel=0.05)
    assert values.mean() == pytest.approx(49.5, abs=0.2)  # fractions are cut off


def test_the_clock_tells_the_time() -> None:
    dark = replace(scene_of(ACTOR), events=())
    frame = draw_frame(dark, 9.0)[..., 0].astype(float) / CLOCK_GREY
    assert frame[CLOCK_PX:-CLOCK_PX].max() == 0
    assert frame[0].sum() == pytest.approx(CANVAS_PX / 4)  # 9 s: one second into the third round of 4 s
    assert frame[-1].sum() == pytest.approx(CANVAS_PX * 9 / 32, abs=0.01)
    assert (np.diff(frame[0]) <= 0).all()  # from the left


def test_without_a_clock_only_its_bars_are_gone() -> None:
    scene = scene_of(ACTOR, noise=3.0)
    bare = draw_frame(replace(scene, clock=False), 2.5)
    np.testing.assert_array_equal(bare[CLOCK_PX:-CLOCK_PX], between_the_bars(scene, 2.5))
    assert bare[:CLOCK_PX].max() < 30 and bare[-CLOCK_PX:].max() < 30  # noise on black


@pytest.mark.parametrize("seed", range(8))
def test_events_are_seen_in_their_windows_and_only_there(seed: int) -> None:
    scene = replace(draw_scene(seed, "any"), noise=0.0)
    empty = between_the_bars(replace(scene, events=()), 0.0)
    for k in range(round(4 * scene.duration_s)):
        time_s = k / 4
        event = next((e for e in scene.events if e.window.start_s <= time_s < e.window.end_s), None)
        changed = bool((between_the_bars(scene, time_s) != empty).any())
        if event is None:
            assert not changed
        elif event.action == "blink":
            assert changed == ((time_s - event.window.start_s) % BLINK_PERIOD_S < BLINK_PERIOD_S / 2)
        else:
            assert changed


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_changes_from_one_sampled_frame_to_the_next(action: str) -> None:
    """At 2 frames a second, for every shape that can do it; blink shows and hides within a period."""
    scene = scene_of(replace(ACTOR, shape="square"), action)
    frames = [between_the_bars(scene, 1.0 + k / 2) for k in range(6)]
    changes = [bool((a != b).any()) for a, b in pairwise(frames)]
    assert changes.count(True) >= (3 if action == "blink" else 5)
