import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.advantage import constant_groups, group_advantage

REWARDS_BG = torch.tensor([[0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 9.0]], dtype=torch.float64)


def test_group_hand_computed() -> None:
    std = (5 / 3) ** 0.5  # (2.25 + 0.25 + 0.25 + 2.25) / (4 - 1)
    expected = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=torch.float64) / (std + 1e-4)
    torch.testing.assert_close(group_advantage(REWARDS_BG)[0], expected)
    # the second group: mean 6, std = sqrt((1 + 1 + 1 + 9) / 3) = 2
    expected = torch.tensor([-1.0, -1.0, -1.0, 3.0], dtype=torch.float64) / 2.5
    torch.testing.assert_close(group_advantage(REWARDS_BG, eps=0.5)[1], expected)


def test_batch_divides_all_groups_by_the_same() -> None:
    # mean 30 / 8; sum of squares 0 + 1 + 4 + 9 + 25 * 3 + 81 = 170
    std = ((170 - 30**2 / 8) / 7) ** 0.5
    centred = torch.tensor([[-1.5, -0.5, 0.5, 1.5], [-1, -1, -1, 3]], dtype=torch.float64)
    torch.testing.assert_close(group_advantage(REWARDS_BG, "batch", eps=0.0), centred / std)
    torch.testing.assert_close(group_advantage(REWARDS_BG, "none"), centred)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6, -0.7])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_rewards_give_exactly_nothing(value: float, scale: str) -> None:
    rewards_BG = torch.stack([torch.full((7,), value), torch.arange(7.0)])
    advantage_BG = group_advantage(rewards_BG, scale, eps=1e-12)  # type: ignore[arg-type]
    assert torch.equal(advantage_BG[0], torch.zeros(7))
    assert advantage_BG[1].abs().sum() > 0
    assert constant_groups(rewards_BG).tolist() == [True, False]


def test_no_gradient_and_no_group_of_one() -> None:
    rewards_BG = torch.rand(2, 3, requires_grad=True)
    assert not group_advantage(rewards_BG).requires_grad
    with pytest.raises(ValueError, match="num_generations is 1"):
        group_advantage(torch.rand(2, 1))


quarters = st.lists(st.integers(-20, 20).map(lambda k: k / 4), min_size=4, max_size=4)


@given(st.lists(quarters, min_size=1, max_size=3), st.integers(-8, 8), st.integers(1, 5))
def test_mean_zero_and_only_the_order_of_magnitude_free(rows: list[list[float]], shift: int, factor: int) -> None:
    rewards_BG = torch.tensor(rows, dtype=torch.float64)
    advantage_BG = group_advantage(rewards_BG, eps=0.0)
    assert advantage_BG.mean(dim=1).abs().max() < 1e-12
    torch.testing.assert_close(group_advantage(rewards_BG * factor + shift, eps=0.0), advantage_BG)
    assert torch.equal(advantage_BG.argsort(dim=1, stable=True), rewards_BG.argsort(dim=1, stable=True))


def test_groups_do_not_mix() -> None:
    alone = torch.cat([group_advantage(row[None]) for row in REWARDS_BG])
    assert torch.equal(group_advantage(REWARDS_BG), alone)
