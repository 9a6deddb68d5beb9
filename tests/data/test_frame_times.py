import pytest

from tvg_lightning.data.frame_times import (
    are_near,
    are_told_right,
    first_pair_s,
    frames_within,
    nearest_frames,
    shown_until,
    spacing,
    standing_frames,
)


def test_nearest_frames_by_hand() -> None:
    frame_times_s = [0.0, 0.04, 0.24, 0.74, 0.78]
    assert nearest_frames([0.0, 0.2, 0.5, 0.9], frame_times_s) == [0, 2, 3, 4]
    assert nearest_frames([0.49], frame_times_s) == [2]  # as far from 0.24 as from 0.74: the earlier
    assert nearest_frames([0.5, 0.51, 0.6], [0.0]) == [0]


def test_a_frame_stands_until_the_next() -> None:
    assert standing_frames([0.0, 0.9, 1.0, 5.0, 9.0], [0.0, 1.0, 6.0]) == [0, 0, 1, 1, 2]
    assert standing_frames([1.0], [2.5]) == [0]  # before the first there is no other


def test_the_usual_spacing() -> None:
    assert spacing([0.0, 0.5, 1.0], 9.0) == (0.5, True)
    assert spacing([0.0, 0.033, 0.067, 0.1], 9.0) == (pytest.approx(1 / 30), True)  # as a clock of thousandths has it
    assert spacing([0.0, 0.4, 1.0], 9.0) == (0.5, False)
    assert spacing([0.0, 0.1, 0.2, 10.2], 9.0) == (pytest.approx(0.1), False)  # the mean is 3.4
    assert spacing([7.0], 9.0) == (9.0, True)


def test_the_last_frame_stays_as_long_as_is_usual_or_longer_if_the_file_says_so() -> None:
    assert shown_until([0.0, 1.0], 1.0, None) == shown_until([0.0, 1.0], 1.0, 1.2) == 2.0
    assert shown_until([0.0, 1.0], 1.0, 7.5) == 7.5


def test_frames_of_a_segment() -> None:
    seconds = [float(k) for k in range(10)]
    assert frames_within(seconds, 2.0, 5.0) == (2, 5)
    assert frames_within(seconds, 3.2, 3.4) == (3, 5)
    assert frames_within(seconds, 9.5, 9.9) == (8, 10)
    assert frames_within([4.0], 1.0, 2.0) == (0, 1)


def test_what_position_ids_tell() -> None:
    assert are_told_right([0.0, 0.5, 1.1, 1.5], 2.0) and are_told_right([2.5, 3.0, 3.5, 4.0], 2.0)
    assert not are_told_right([0.0, 0.5, 1.0, 9.0], 3 / 9.0 * 6)
    assert first_pair_s([0.4, 0.9], 1.0) == 0.0 and first_pair_s([0.6, 1.1], 1.0) == 0.6
    assert are_near([0.0, 1.0], [0.1, 1.2], 0.2 + 1e-9) and not are_near([0.0, 5.0, 9.0], [0.0, 9.0], 3.0)
