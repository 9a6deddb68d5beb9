"""The scenes that the tiny policies' base is trained on: drawn at the sampled frames' times, without video files."""

import random
import re
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tvg_lightning.data.moving_shapes.drawing import draw_frame
from tvg_lightning.data.moving_shapes.kinds import AskedScene, draw_scene_for
from tvg_lightning.data.moving_shapes.sentences import events_within
from tvg_lightning.data.moving_shapes.shares import KindShares
from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, SHAPES, Scene
from tvg_lightning.data.video import FrameSettings, VideoClip, resize_frames, sample_frames
from tvg_lightning.policy.families.family import Family, PromptVideo
from tvg_lightning.schema import Span

KINDS = KindShares(plain=4, ordinal=2, relation=3, look_alike=1, every=1, absent=1)
TINY_FRAMES = FrameSettings(fps=2.0, max_frames=40, max_tokens=1)


@dataclass(frozen=True, slots=True)
class DrawnScene:
    """A scene, and what the policy would see of a file of it: all of it, and each event's segment alone."""

    asked: AskedScene
    whole: VideoClip
    segments: dict[Span, VideoClip]

    @property
    def scene(self) -> Scene:
        return self.asked.scene

    def clip(self, segment: Span | None) -> VideoClip:
        return self.whole if segment is None else self.segments[segment]


def draw_asked(seed: int) -> AskedScene:
    """The scene of a seed and its queries, of a kind drawn by ``KINDS``."""
    return draw_scene_for(KINDS.draw(random.Random(f"kind {seed}")), seed)


def draw_clips(seed: int, side: int, clock: bool = True) -> DrawnScene:
    """The scene of a seed, drawn at the frame times that would be taken from a file of it, a token a frame."""
    asked = draw_asked(seed)
    scene = replace(asked.scene, clock=clock)
    return DrawnScene(
        asked,
        _draw_clip(scene, None, side),
        {event.window: _draw_clip(scene, event.window, side) for event in scene.events},
    )


def _draw_clip(scene: Scene, segment: Span | None, side: int) -> VideoClip:
    frame_times_s = _frame_times(scene)
    taken, times_s, fps = sample_frames(frame_times_s, TINY_FRAMES, segment)
    drawn = np.stack([draw_frame(scene, frame_times_s[frame]) for frame in taken])
    _, max_pixels = TINY_FRAMES.pixel_limits(len(taken), side)
    return VideoClip(resize_frames(torch.from_numpy(drawn), side, max_pixels), tuple(times_s), fps, "drawn")


def _frame_times(scene: Scene) -> list[float]:
    return [k / scene.fps for k in range(round(scene.duration_s * scene.fps))]


def words_between_frames(family: Family, scene: Scene) -> str:
    """The words between the pairs of frames in the prompt of a scene, special tokens aside: their times, or nothing."""
    _, times_s, fps = sample_frames(_frame_times(scene), TINY_FRAMES, None)
    video = PromptVideo((len(times_s) // 2, 2, 2), times_s, 2 / fps, times_s[0])
    return re.sub(r"<\|[a-z_]+\|>", "", family.video_text(video))


def what_is_seen(drawn: DrawnScene) -> Tensor:
    """Action, colour and shape of the event in every pair of frames, and the half second, as class numbers (T, 2, 4).

    Where there is no event the first three are one past the last class. Of two events at once each has a row, of one
    or none both rows are the same.
    """
    rows = []
    for first_s, second_s in zip(drawn.whole.times_s[::2], drawn.whole.times_s[1::2], strict=True):
        middle_s = (first_s + second_s) / 2
        events = events_within(drawn.scene, Span(middle_s, middle_s))
        seen = [(len(ACTIONS), len(COLOURS), len(SHAPES))]
        if events:
            actors = [drawn.scene.actors[event.actor] for event in events]
            seen = [
                (ACTIONS.index(event.action), list(COLOURS).index(actor.colour), SHAPES.index(actor.shape))
                for event, actor in zip(events, actors, strict=True)
            ]
        rows.append([(*one, round(2 * middle_s)) for one in (seen[0], seen[-1])])
    return torch.tensor(rows)
