"""The weights of completions that another engine sampled, by hand."""

import math

import pytest
import torch

from tvg_lightning.losses.importance import ImportanceMode, importance_weights

# ratios 2, 4 and 1/2, together 4; then 1, 1 and a token that the engine did not sample
GAP = torch.tensor([[2.0, 4.0, 0.5], [1.0, 1.0, math.nan]], dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("mode", "cap", "floor", "weights"),
    [
        ("token_truncate", 3.0, None, [[2.0, 3.0, 0.5], [1.0, 1.0, 1.0]]),
        ("token_truncate", 3.0, 0.75, [[2.0, 3.0, 0.75], [1.0, 1.0, 1.0]]),
        ("token_truncate", None, 0.75, [[2.0, 4.0, 0.75], [1.0, 1.0, 1.0]]),
        ("token_mask", 3.0, None, [[2.0, 0.0, 0.5], [1.0, 1.0, 1.0]]),
        ("token_mask", 3.0, 0.75, [[2.0, 0.0, 0.0], [1.0, 1.0, 1.0]]),
        ("token_mask", None, None, [[2.0, 4.0, 0.5], [1.0, 1.0, 1.0]]),
        ("sequence_truncate", 3.0, None, [[3.0], [1.0]]),
        ("sequence_truncate", 5.0, None, [[4.0], [1.0]]),
        ("sequence_mask", 3.0, None, [[0.0], [1.0]]),
        ("sequence_mask", 5.0, 1.0, [[4.0], [1.0]]),
        ("sequence_mask", 1.0, None, [[0.0], [1.0]]),
    ],
)
def test_weights(mode: ImportanceMode, cap: float | None, floor: float | None, weights: list[list[float]]) -> None:
    weight_NX, is_cut_NX = importance_weights(GAP, mode, cap, floor)
    expected = torch.tensor(weights, dtype=torch.float64)
    torch.testing.assert_close(weight_NX, expected, rtol=1e-12, atol=1e-12)
    ratio = importance_weights(GAP, mode.replace("truncate", "mask"), None, None)[0]  # type: ignore[arg-type]
    assert is_cut_NX.tolist() == ((expected - ratio).abs() > 1e-9).tolist()


def test_a_token_that_the_engine_held_for_all_but_impossible() -> None:
    """Its ratio is more than a float holds; a cap still bounds it."""
    gap = torch.tensor([[1000.0, 0.0]])
    assert importance_weights(gap, "token_truncate")[0].tolist() == [[3.0, 1.0]]
    assert importance_weights(gap, "sequence_truncate")[0].tolist() == [[3.0]]
    assert importance_weights(gap, "sequence_mask")[0].tolist() == [[0.0]]
    assert importance_weights(-gap, "token_mask")[0].tolist() == [[0.0, 1.0]]


def test_weights_are_constants_of_the_loss() -> None:
    assert not importance_weights(torch.zeros(1, 2, requires_grad=True), "token_truncate")[0].requires_grad
