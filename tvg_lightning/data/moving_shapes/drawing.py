"""Pixels of a scene: the position of every actor at a given time, and its anti-aliased picture.

Every action has a constant pace, whatever the length of its event, and is fast enough to be seen between two
frames half a second apart on a 28-pixel canvas: the policy sees two frames to a token.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvg_lightning.data.moving_shapes.world import COLOURS, DISTRACTOR, Actor, Event, Scene

CANVAS_PX = 112
_RGB = {**COLOURS, DISTRACTOR: (120, 120, 120)}
MOVE_PX_PER_S = 28.0
SPIN_DEG_PER_S = 75.0  # not a divisor of any shape's symmetry at 1 or 2 frames per second
BLINK_PERIOD_S = 1.5
GROWTH_PERIOD_S = 3.0
SHAKE_PX, SHAKE_HZ = 7.0, 1.3
CLOCK_PX = 8  # height of its two bars
CLOCK_PERIODS_S = (4.0, 32.0)  # the bar at the top is full every 4 s, the one at the bottom after 32 s
CLOCK_GREY = 170


@dataclass(slots=True)
class Pose:
    """The way an actor is drawn: centre in pixels, scale of its radius, angle in degrees."""

    x: float
    y: float
    scale: float = 1.0
    angle_deg: float = 0.0
    visible: bool = True


def draw_frame(scene: Scene, time_s: float) -> NDArray[np.uint8]:
    """The picture at one time, uint8 (CANVAS_PX, CANVAS_PX, 3). The noise follows from seed and time."""
    frame = np.empty((CANVAS_PX, CANVAS_PX, 3), dtype=np.float32)
    frame[:] = scene.background
    for distractor in scene.distractors:
        _paint(frame, distractor, Pose(distractor.x, distractor.y))
    for event in scene.events:
        if event.window.start_s <= time_s < event.window.end_s:
            actor = scene.actors[event.actor]
            pose = pose_in(actor, event, time_s - event.window.start_s)
            if pose.visible:
                _paint(frame, actor, pose)
    if scene.clock:
        _draw_clock(frame, time_s)
    noise_seed = (scene.seed & 0xFFFFFFFF, round(time_s * 1000))
    frame += (
        np.random.default_rng(noise_seed).standard_normal(frame.shape[:2], dtype=np.float32)[..., None] * scene.noise
    )
    return np.clip(frame, 0, 255).astype(np.uint8)


def _draw_clock(frame: NDArray[np.float32], time_s: float) -> None:
    """The time, burnt in as in the pictures of a surveillance camera: two bars that grow from the left."""
    for rows, period_s in zip(
        (slice(0, CLOCK_PX), slice(CANVAS_PX - CLOCK_PX, CANVAS_PX)), CLOCK_PERIODS_S, strict=True
    ):
        length_px = time_s % period_s / period_s * CANVAS_PX
        lit = np.clip(length_px - np.arange(CANVAS_PX, dtype=np.float32), 0, 1)
        frame[rows] = (CLOCK_GREY * lit)[:, None]


def pose_in(actor: Actor, event: Event, elapsed_s: float) -> Pose:
    """Position, size and angle of the actor after ``elapsed_s`` seconds of its event."""
    pose = Pose(actor.x, actor.y)
    phase = (elapsed_s % GROWTH_PERIOD_S) / GROWTH_PERIOD_S
    match event.action:
        case "rise":
            pose.y = _wrap(pose.y - MOVE_PX_PER_S * elapsed_s)
        case "fall":
            pose.y = _wrap(pose.y + MOVE_PX_PER_S * elapsed_s)
        case "slide":
            pose.x = _wrap(pose.x + event.direction * MOVE_PX_PER_S * elapsed_s)
        case "spin":
            pose.angle_deg = event.direction * SPIN_DEG_PER_S * elapsed_s
        case "blink":
            pose.visible = (elapsed_s % BLINK_PERIOD_S) < BLINK_PERIOD_S / 2
        case "grow":
            pose.scale = 0.5 + 1.1 * phase
        case "shrink":
            pose.scale = 1.6 - 1.1 * phase
        case "shake":
            pose.x += SHAKE_PX * math.sin(2 * math.pi * SHAKE_HZ * elapsed_s)
            pose.y += SHAKE_PX * math.cos(2 * math.pi * SHAKE_HZ * elapsed_s)
    return pose


def _wrap(place: float) -> float:
    """Leave the canvas on one side, come back on the other."""
    return place % CANVAS_PX


def _paint(frame: NDArray[np.float32], actor: Actor, pose: Pose) -> None:
    """Blend one shape into the frame, and its parts beyond an edge at the opposite edge."""
    radius = actor.radius * pose.scale
    for dx in (-CANVAS_PX, 0, CANVAS_PX):
        for dy in (-CANVAS_PX, 0, CANVAS_PX):
            x, y = pose.x + dx, pose.y + dy
            left, right = max(0, int(x - radius * 1.5) - 1), min(CANVAS_PX, int(x + radius * 1.5) + 2)
            top, bottom = max(0, int(y - radius * 1.5) - 1), min(CANVAS_PX, int(y + radius * 1.5) + 2)
            if left >= right or top >= bottom:
                continue
            rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
            alpha = _coverage(actor.shape, columns + 0.5 - x, rows + 0.5 - y, radius, pose.angle_deg)[..., None]
            box = frame[top:bottom, left:right]
            box += alpha * (np.asarray(_RGB[actor.colour], dtype=np.float32) - box)


def _coverage(
    shape: str, dx: NDArray[np.float32], dy: NDArray[np.float32], radius: float, angle_deg: float
) -> NDArray[np.float32]:
    """The share of each pixel that the shape covers, 0 to 1, from its signed distance (positive inside)."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    u, v = cos * dx + sin * dy, -sin * dx + cos * dy
    match shape:
        case "circle":
            inside = radius - np.hypot(u, v)
        case "square":
            inside = 0.88 * radius - np.maximum(np.abs(u), np.abs(v))
        case "triangle":
            edge = 0.55 * radius
            inside = np.minimum(edge - v, np.minimum(edge + 0.5 * v - 0.866 * u, edge + 0.5 * v + 0.866 * u))
        case _:  # cross
            long, thin = 1.1 * radius, 0.36 * radius
            bar_u = np.minimum(long - np.abs(u), thin - np.abs(v))
            bar_v = np.minimum(long - np.abs(v), thin - np.abs(u))
            inside = np.maximum(bar_u, bar_v)
    return np.clip(inside + 0.5, 0, 1).astype(np.float32)
