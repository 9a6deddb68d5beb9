"""Sequences of a row as a padded batch and back, with every number by hand."""

import pytest
import torch

from tvg_lightning.policy import ragged_index
from tvg_lightning.policy.ragged_index import RaggedIndex, alike

ROW = torch.arange(14.0).reshape(2, 7)  # two heads, seven tokens


def test_sequences_of_other_lengths_are_padded() -> None:
    index = RaggedIndex.of([range(1, 4), range(0, 0), range(5, 6)])
    batch = index.batch(ROW)
    assert index.one is None and batch.shape == (6, 3)
    real_QT = index.real(2)
    assert real_QT is not None and real_QT.tolist() == [[True] * 3, [False] * 3, [True, False, False]] * 2
    assert batch[real_QT].tolist() == [1.0, 2.0, 3.0, 5.0, 8.0, 9.0, 10.0, 12.0]
    assert index.flat(batch).tolist() == index.of_row(ROW).tolist() == [[1.0, 2.0, 3.0, 5.0], [8.0, 9.0, 10.0, 12.0]]


def test_a_single_run_is_a_view() -> None:
    index = RaggedIndex.of([range(2, 5)])
    assert index.one == slice(2, 5) and index.real(2) is None
    for found in (index.batch(ROW), index.of_row(ROW)):
        assert found.data_ptr() == ROW[:, 2:5].data_ptr() and torch.equal(found, ROW[:, 2:5])
    assert index.flat(index.batch(ROW)) is not ROW and torch.equal(index.flat(index.batch(ROW)), ROW[:, 2:5])


def test_a_single_sequence_with_gaps_is_no_view() -> None:
    index = RaggedIndex.of([[6, 0, 3]])
    assert index.one is None and index.batch(ROW).tolist() == [[6.0, 0.0, 3.0], [13.0, 7.0, 10.0]]


@pytest.mark.parametrize("sequences", [[range(2, 4)], [[2], [3]]])
def test_what_is_written_goes_where_it_was(sequences: list[range] | list[list[int]]) -> None:
    row = ROW.clone()
    RaggedIndex.of(sequences).put(torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]), row)
    assert row[:, 2:4].tolist() == [[-1.0, -2.0], [-3.0, -4.0]]
    untouched = [0, 1, 4, 5, 6]
    assert torch.equal(row[:, untouched], ROW[:, untouched])


def test_what_is_padded_must_cost_less_than_a_quarter_or_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 and 9 tokens need 64 + 81 pairs and padded have 162; with 3, 9 + 64 + 81 against 243."""
    monkeypatch.setattr(ragged_index, "_A_CALL", 0)
    assert alike([9, 3, 8], [0, 0, 0]) == [[1], [2, 0]]
    assert alike([10, 8], [0, 0]) == [[1, 0]], "200 pairs for 164: 36 are less than 41"
    assert alike([10, 7], [0, 0]) == [[1], [0]], "200 pairs for 149: 51 are more than 37"
    assert alike([10, 8], [0, 4]) == [[1], [0]], "with followers 280 for 196: 84 are more than 49"
    monkeypatch.setattr(ragged_index, "_A_CALL", 89)
    assert alike([9, 3, 8], [0, 0, 0]) == [[1, 2, 0]], "243 - 154 = 89: as much as a call"
