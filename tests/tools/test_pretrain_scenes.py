"""What is taught by hand is what a scene shows, and the time before a pair of frames is one token."""

import re

import pytest

from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, SHAPES
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.tiny_architecture import VOCABULARY, train_tokenizer
from tvg_lightning.tools.pretrain_scenes import draw_asked, draw_clips, what_is_seen, words_between_frames


@pytest.mark.parametrize("seed", range(12))
def test_every_pair_of_frames_is_named_by_its_events(seed: int) -> None:
    drawn = draw_clips(seed, 28)
    seen_T24 = what_is_seen(drawn)
    times_s = drawn.whole.times_s
    assert seen_T24.shape == (len(times_s) // 2, 2, 4)
    for k, rows in enumerate(seen_T24.tolist()):
        middle_s = (times_s[2 * k] + times_s[2 * k + 1]) / 2
        assert all(abs(row[3] / 2 - middle_s) <= 0.25 for row in rows)
        now = [e for e in drawn.scene.events if e.window.start_s < middle_s < e.window.end_s]
        named = {(ACTIONS[a], f"{list(COLOURS)[c]} {SHAPES[s]}") for a, c, s, _ in rows if a < len(ACTIONS)}
        assert named == {(event.action, drawn.scene.actors[event.actor].subject) for event in now}


def test_without_a_clock_the_pictures_are_others() -> None:
    told, untold = (draw_clips(0, 28, clock).whole.frames for clock in (True, False))
    assert told.shape == untold.shape and bool((told != untold).any())


def test_the_time_before_every_pair_of_frames_is_one_token() -> None:
    """With the tokenizer as the command trains it."""
    scenes = [draw_asked(seed).scene for seed in range(300)]
    found = [words_between_frames(FAMILIES["qwen3_vl"], scene) for scene in scenes]
    assert all(re.fullmatch(r"(<\d+\.\d seconds>)+", text) for text in found)
    tokenizer = train_tokenizer(found, VOCABULARY["qwen3_vl"])
    assert len(tokenizer("<11.2 seconds>")["input_ids"]) == 4
    assert words_between_frames(FAMILIES["qwen2_5_vl"], scenes[0]) == ""
