"""d is what it is said to be: tower, tokens and positions stay, the frames near the true ends change places."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.conftest import clip
from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.frame_dependence import (
    can_be_shuffled,
    frame_dependence,
    mean_difference,
    near,
    orders_of,
    pair_times,
    permuted_features,
    shuffled_order,
)
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.schema import Prompt, Sample, Span, Task

COMPLETIONS = [[[20, 21, 22], [30]], [[23, 24], [40, 41, 42, 43]]]
CLIP = VideoClip(torch.zeros(10, 28, 28, 3, dtype=torch.uint8), tuple(k / 2 for k in range(10)), 2.0, "made up")
ORDERS = [[[2, 0, 1], [1, 2, 0]], [[4, 1, 2, 3, 0], [0, 1, 4, 2, 3]]]


def in_order(video: VideoClip, order: list[int]) -> VideoClip:
    """The clip with its pairs of frames in another order, its times as they were."""
    frames = video.frames.unflatten(0, (-1, 2))[order].flatten(0, 1)
    return replace(video, frames=frames)


def test_moving_features_is_moving_pairs_of_frames_before_the_tower(tiny: PolicyBackbone, tolerances: Any) -> None:
    video, order = clip(tiny, 8, 2.0, tokens=3), [3, 1, 0, 2]
    with torch.no_grad():
        known, moved = (tiny.video_features([tiny.encode(Prompt("?"), v)])[0] for v in (video, in_order(video, order)))
    torch.testing.assert_close(permuted_features(known, order), moved, atol=tolerances.logp, rtol=0)
    assert not torch.allclose(known, moved, atol=0.01)


def asked(tiny: PolicyBackbone, orders: Any = ORDERS) -> tuple[list[list[float] | None], list[VideoClip]]:
    clips = [clip(tiny, 6, 2.0), clip(tiny, 10, 0.54, seed=1)]
    prompts = [tiny.encode(Prompt("When does the red circle rise?"), one) for one in clips]
    with torch.no_grad():
        features = tiny.video_features(prompts)
    return frame_dependence(tiny, prompts, COMPLETIONS, features, orders, 0.7), clips


def test_d_equals_that_of_shuffled_frames_read_anew(tiny: PolicyBackbone, tolerances: Any) -> None:
    """Each completion alone in a row, with the frames moved before the tower."""
    found, clips = asked(tiny)
    for b, video in enumerate(clips):
        for g, ids in enumerate(COMPLETIONS[b]):
            with torch.no_grad():
                logps = [
                    tiny.logp([tiny.encode(Prompt("When does the red circle rise?"), one)], [[ids]], None, 0.7)[0]
                    for one in (video, in_order(video, ORDERS[b][g]))
                ]
            of_prompt = found[b]
            assert of_prompt is not None
            assert of_prompt[g] == pytest.approx(float((logps[0] - logps[1]).mean()), abs=5 * tolerances.logp)
            assert abs(of_prompt[g]) > 1e-3


def test_frames_in_their_order_give_no_difference(tiny: PolicyBackbone, tolerances: Any) -> None:
    found, _ = asked(tiny, [[[0, 1, 2]] * 2, [[0, 1, 2, 3, 4]] * 2])
    assert [d for row in found for d in row or ()] == pytest.approx([0.0] * 4, abs=tolerances.logp)


def test_a_prompt_without_orders_has_none_and_changes_no_other(tiny: PolicyBackbone, tolerances: Any) -> None:
    whole, _ = asked(tiny)
    found, _ = asked(tiny, [None, ORDERS[1]])
    assert found[0] is None and found[1] == pytest.approx(whole[1], abs=tolerances.logp)
    with patch.object(PolicyBackbone, "logp") as passes:
        assert asked(tiny, [None, None])[0] == [None, None]
    passes.assert_not_called()


def test_features_that_carry_a_gradient_are_left_alone(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    features = tiny.video_features(prompts[:1])
    before = features[0].detach().clone()
    assert features[0].requires_grad
    frame_dependence(tiny, prompts[:1], [[[20]]], features, [[[1, 0, 2]]], 1.0)
    assert torch.equal(features[0], before) and all(p.grad is None for p in tiny.parameters())


# ---- which frames, in which order


def test_hand_computed_order() -> None:
    """A pair every second; near 2 s are 1, 2 and 3, near 4 s are 3, 4 and 5, of which 3 is moved twice."""
    times_s = [float(n) for n in range(8)]
    order = shuffled_order(times_s, [Span(2.0, 4.0)], 1.0, lambda numbers: [*numbers[1:], numbers[0]])
    assert order == [0, 2, 3, 4, 5, 1, 6, 7]


def test_of_several_windows_each_is_shuffled() -> None:
    times_s = [float(n) for n in range(10)]
    order = shuffled_order(times_s, [Span(0.5, 3.5), Span(6.5, 8.5)], 0.5, lambda numbers: numbers[::-1])
    assert order == [1, 0, 2, 4, 3, 5, 7, 6, 9, 8]


def test_less_than_two_frames_stay() -> None:
    assert shuffled_order([0.0, 4.0, 8.0], [Span(0.0, 4.0)], 3.0, lambda numbers: numbers[::-1]) == [0, 1, 2]
    assert not can_be_shuffled([0.0, 4.0, 8.0], [Span(0.0, 4.0)], 3.0)
    assert can_be_shuffled([0.0, 4.0, 8.0], [Span(0.0, 4.0)], 4.0)


@given(
    st.lists(st.floats(0, 40), min_size=1, max_size=30).map(sorted),
    st.floats(0, 40),
    st.floats(0, 40),
    st.floats(0.1, 9.0),
    st.integers(),
)
def test_only_frames_near_the_ends_move(
    times_s: list[float], start_s: float, end_s: float, radius_s: float, seed: int
) -> None:
    random = Random(seed)
    order = shuffled_order(times_s, [Span(start_s, end_s)], radius_s, lambda n: random.sample(n, len(n)))
    assert sorted(order) == list(range(len(times_s)))
    may_move = {*near(times_s, start_s, radius_s), *near(times_s, end_s, radius_s)}
    assert all(place == number or {place, number} <= may_move for place, number in enumerate(order))


def test_the_authors_windows_and_orders(shared: Path) -> None:
    """Single frames there; each window turned by one, the start's first.

    A time on the edge itself is inside for us; for them rounding decides, and the file has nine digits of it.
    """
    path = shared / "data/oracles/taro_reward_parts.json"
    if not path.is_file():
        pytest.skip("needs the outputs of the authors' functions")
    cases = json.loads(path.read_text(encoding="utf-8"))["boundary_cases"]
    num_equal = 0
    for case in cases:
        first, fps, radius_s, truth = case["frames_indices"][0], case["native_fps"], case["radius"], Span(*case["gt"])
        times_s = [(index - first) / fps for index in case["frames_indices"]]
        theirs = [case["start_window"], case["end_window"]]
        ours = [near(times_s, end_s, radius_s) for end_s in truth]
        for end_s, own, found in zip(truth, ours, theirs, strict=True):
            assert all(abs(abs(times_s[n] - end_s) - radius_s) < 1e-9 for n in {*own} ^ {*found})
        if ours == theirs:
            num_equal += 1
            order = shuffled_order(times_s, [truth], radius_s, lambda numbers: [*numbers[-1:], *numbers[:-1]])
            assert order == case["order_after_rotating_each_window_by_one"]
    assert num_equal > 0.9 * len(cases)


def test_the_authors_mean_difference(shared: Path, tolerances: Any) -> None:
    path = shared / "data/oracles/taro_reward_parts.json"
    if not path.is_file():
        pytest.skip("needs the outputs of the authors' functions")
    for case in json.loads(path.read_text(encoding="utf-8"))["diff_cases"]:
        logp, shuffled = (
            torch.tensor([case[name]], dtype=torch.float64) for name in ("log_probs", "log_probs_shuffled")
        )
        mask = (torch.arange(logp.shape[2]) < torch.tensor(case["lengths"])[:, None])[None]
        (found,) = mean_difference(logp, shuffled, mask).tolist()
        assert found == pytest.approx(case["diff_log_prob"], abs=1e-6)


# ---- of an item


def item(**changes: Any) -> Item:
    windows = changes.pop("windows", (Span(1.0, 2.0),))
    sample = Sample("s", "a.mp4", 5.0, "The red circle rises.", windows)
    return replace(Item(sample, Task.TVG, Prompt("?"), CLIP, (), position=0), **changes)


def test_orders_are_of_pairs_and_follow_from_the_random_numbers() -> None:
    orders = orders_of(item(), 3.0, [Random(1), Random(2), Random(1)])
    assert orders is not None and orders[0] == orders[2] != orders[1]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert pair_times(item().clip.times_s) == [0.25, 1.25, 2.25, 3.25, 4.25]
    near_start = orders_of(item(windows=(Span(0.0, 9.0),)), 1.3, [Random(n) for n in range(9)])
    assert near_start is not None and {tuple(order[2:]) for order in near_start} == {(2, 3, 4)}
    assert {tuple(order[:2]) for order in near_start} == {(0, 1), (1, 0)}


@pytest.mark.parametrize(
    "changes",
    [
        {"task": Task.ACTION_RECOGNITION},
        {"windows": ()},
        {"windows": None},
        {"error": "it hangs"},
        {"windows": (Span(20.0, 30.0),)},  # no frame is near it
    ],
)
def test_without_a_true_moment_in_the_frames_there_is_no_order(changes: dict[str, Any]) -> None:
    assert orders_of(item(**changes), 3.0, [Random(1)]) is None
