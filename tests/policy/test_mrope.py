"""The position rule of the released checkpoints, against a reference that counts token by token."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.policy.families.qwen2_5_vl import video_position_ids
from tvg_lightning.policy.mrope import grid_block, prompt_position_ids

VIDEO = 9


def reference(
    ids: list[int], grid: tuple[int, int, int], seconds_per_grid: float, per_second: float
) -> list[list[int]]:
    """One token at a time, with no tensor in sight."""
    t, h, w = grid[0], grid[1] // 2, grid[2] // 2
    places, seen, next_id = [], 0, 0
    start = ids.index(VIDEO)
    for token in ids:
        if token != VIDEO:
            places.append([next_id] * 3)
            next_id += 1
            continue
        k, row, column = seen // (h * w), seen // w % h, seen % w
        places.append([start + math.floor(k * seconds_per_grid * per_second + 1e-6), start + row, start + column])
        seen += 1
        if seen == t * h * w:
            next_id = max(max(p) for p in places) + 1
    return [list(axis) for axis in zip(*places, strict=True)]


@given(
    before=st.integers(1, 5),
    after=st.integers(1, 5),
    grid=st.tuples(st.integers(1, 6), st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 8])),
    seconds_per_grid=st.sampled_from([0.3, 0.54, 1.0, 1.6, 4.0]),
    per_second=st.sampled_from([2, 4]),
)
def test_agrees_with_counting_by_hand(
    before: int, after: int, grid: tuple[int, int, int], seconds_per_grid: float, per_second: float
) -> None:
    num_video = grid[0] * (grid[1] // 2) * (grid[2] // 2)
    ids = [1] * before + [VIDEO] * num_video + [1] * after
    found = prompt_position_ids(ids, VIDEO, [video_position_ids(grid, seconds_per_grid, per_second)])
    assert found.tolist() == reference(ids, grid, seconds_per_grid, per_second)


def test_text_after_a_long_video_starts_behind_its_last_second() -> None:
    """Ten grids of 2 s at 2 ids a second end at 36; transformers would put the text at max(h, w) / 2 = 1."""
    ids = [1, *[VIDEO] * 10, 2, 3]
    found = prompt_position_ids(ids, VIDEO, [video_position_ids((10, 2, 2), 2.0, 2)])
    assert found[0].tolist() == [0, *range(1, 40, 4), 38, 39]
    assert found[1].tolist() == [0, *[1] * 10, 38, 39]


def test_a_prompt_that_does_not_match_its_grid_is_our_fault() -> None:
    with pytest.raises(AssertionError, match="grid"):
        prompt_position_ids([1, VIDEO, 2], VIDEO, [grid_block([0, 1], 1, 1)])
    for blocks in ([], [grid_block([0], 1, 1)] * 2):
        with pytest.raises(AssertionError, match="grid"):
            prompt_position_ids([1, VIDEO, 2], VIDEO, blocks)


@given(
    pairs=st.integers(1, 5),
    height=st.sampled_from([2, 4, 6]),
    width=st.sampled_from([2, 4, 8]),
    words=st.integers(1, 4),
)
def test_runs_between_words_are_counted_one_after_the_other(pairs: int, height: int, width: int, words: int) -> None:
    """Pair k begins after k pairs, each as long as its longer side, and all words before it."""
    tokens = (height // 2) * (width // 2)
    ids = [1, 1, *([1] * words + [VIDEO] * tokens) * pairs, 1]
    found = prompt_position_ids(ids, VIDEO, [grid_block([0], height // 2, width // 2)] * pairs)
    side, at = max(height, width) // 2, 2
    expected = [[0] * 3, [1] * 3]
    for _ in range(pairs):
        expected += [[at + word] * 3 for word in range(words)]
        at += words
        expected += [[at, at + k // (width // 2), at + k % (width // 2)] for k in range(tokens)]
        at += side
    assert found.T.tolist() == [*expected, [at] * 3]
