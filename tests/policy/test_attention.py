"""Attention with its log-sum-exp: two sets of keys merge, in results and in gradients."""

import math

import pytest
import torch
from torch import Tensor

from tvg_lightning.policy.attention import attend, attend_backward, attend_in_steps, merge, merge_found

SCALING = 0.4


def made_up(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value and a gradient for 6 tokens, 2 key heads of 3 query heads each, dimension 4."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 6, 3, 4), (2, 6, 4), (2, 6, 4), (2, 6, 3, 4))
    query, key, value, gradient = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return query.to(dtype), key.to(dtype), value.to(dtype), gradient.to(dtype)


def test_two_sets_of_keys_merge_to_one() -> None:
    """exp(score) 1 and 3 in one set, 4 in the other: the value 8 of the second weighs one half."""
    query = torch.ones(1, 1, 1, 1)

    def over(scores: list[float], values: list[float]) -> tuple[Tensor, Tensor]:
        return attend(query, torch.tensor(scores).log()[None, :, None], torch.tensor(values)[None, :, None], 1.0)

    found, lse = merge(over([1.0, 3.0], [0.0, 4.0]), over([4.0], [8.0]))
    assert float(found) == pytest.approx(3 / 8 * 4 + 4 / 8 * 8)
    assert float(lse.exp()) == pytest.approx(8.0)


@pytest.mark.parametrize("causal", [False, True])
def test_in_steps_as_in_blocks(causal: bool) -> None:
    query, key, value, _ = made_up(torch.float32)
    for found, expected in zip(
        attend_in_steps(query, key, value, SCALING, causal), attend(query, key, value, SCALING, causal), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_scores_in_steps_are_not_rounded_under_autocast() -> None:
    """Scores of 255 and 256.99 would be 255 and 256 in bfloat16, and the second key's weight 0.731."""
    query, key = torch.full((1, 1, 1, 1), 15.9375), torch.tensor([16.0, 16.125])[None, :, None]
    with torch.autocast("cpu", torch.bfloat16):
        found, lse = attend_in_steps(
            query.bfloat16(), key.bfloat16(), torch.tensor([0.0, 1.0])[None, :, None].bfloat16(), 1.0
        )
    assert float(found) == pytest.approx(1 / (1 + math.exp(-1.9921875)), abs=0.004)
    assert float(lse) == pytest.approx(257.120, abs=0.001)


def test_a_share_of_the_keys_has_its_share_of_the_gradient() -> None:
    query, key, value, gradient = made_up()
    inputs = [x.clone().requires_grad_() for x in (query, key, value)]
    found = torch.einsum(
        "kngs,ksd->kngd", (torch.einsum("kngd,ksd->kngs", *inputs[:2]) * SCALING).softmax(3), inputs[2]
    )
    whole = torch.autograd.grad(found, inputs, gradient)
    merged = merge(attend(query, key[:, :4], value[:, :4], SCALING), attend(query, key[:, 4:], value[:, 4:], SCALING))
    shares = [
        attend_backward(gradient, query, key[:, part], value[:, part], merged, SCALING)
        for part in (slice(0, 4), slice(4, 6))
    ]
    torch.testing.assert_close(shares[0][0] + shares[1][0], whole[0])
    torch.testing.assert_close(torch.cat((shares[0][1], shares[1][1]), dim=1), whole[1])
    torch.testing.assert_close(torch.cat((shares[0][2], shares[1][2]), dim=1), whole[2])


@pytest.mark.parametrize("attention", [attend, attend_in_steps])
def test_unseen_keys_are_not_there(attention: object) -> None:
    """As if each head had only its own keys: the first all but one, the second but one."""
    query, key, value, _ = made_up(torch.float32)
    seen_KS = torch.tensor([[True, True, False, True, True, True], [False, False, True, False, False, False]])
    found, lse = attention(query, key, value, SCALING, seen_KS=seen_KS)  # type: ignore[operator]
    for head, seen_S in enumerate(seen_KS):
        alone = attend(query[head : head + 1], key[head : head + 1, seen_S], value[head : head + 1, seen_S], SCALING)
        torch.testing.assert_close(found[head], alone[0][0])
        torch.testing.assert_close(lse[head], alone[1][0])
    torch.testing.assert_close(found[1], value[1, 2].expand(6, 3, 4))


def test_what_is_merged_keeps_its_type() -> None:
    """Results in bfloat16 are weighed in float32: 1 and 3 by equal shares are 2."""
    one, three = (torch.full((1, 1, 1, 2), x, dtype=torch.bfloat16) for x in (1.0, 3.0))
    found = merge_found((one, torch.zeros(1, 1, 1)), (three, torch.zeros(1, 1, 1)))
    assert found.dtype == torch.bfloat16 and found.tolist() == [[[[2.0, 2.0]]]]
