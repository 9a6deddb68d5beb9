"""Choosing tokens, against distributions that can be counted by hand."""

import math

import torch

from tvg_lightning.policy.logits import choose_tokens, policy_logits, token_logp
from tvg_lightning.policy.settings import SamplingSettings

NONE = torch.tensor([], dtype=torch.long)


def test_a_uniform_number_picks_the_token_whose_share_it_falls_in() -> None:
    logits = torch.tensor([0.5, 0.25, 0.25]).log().expand(4, 3)
    tokens = choose_tokens(logits, SamplingSettings(), torch.tensor([0.0, 0.49, 0.51, 0.99]))
    assert tokens.tolist() == [0, 0, 1, 2]


def test_top_k_and_top_p_leave_out_the_tail() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(1, 3)
    almost_one = torch.tensor([0.999])
    assert choose_tokens(logits, SamplingSettings(top_k=2), almost_one).tolist() == [1]
    assert choose_tokens(logits, SamplingSettings(top_p=0.4), almost_one).tolist() == [0]
    assert choose_tokens(logits, SamplingSettings(top_p=0.6), almost_one).tolist() == [1]


def test_an_impossible_first_token_is_not_picked_at_zero() -> None:
    logits = torch.tensor([[float("-inf"), 0.0]])
    assert choose_tokens(logits, SamplingSettings(), torch.tensor([0.0])).tolist() == [1]


def test_temperature_divides_and_suppression_forbids() -> None:
    hidden, head = torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0], [9.0]])
    logits = policy_logits(hidden, head, torch.tensor([2]), temperature=2.0)
    assert logits.tolist() == [[1.0, 3.0, float("-inf")]]


def test_token_logp_is_the_log_softmax() -> None:
    hidden, head = torch.tensor([[1.0]]), torch.tensor([[0.0], [math.log(3.0)]])
    found = token_logp(hidden, head, torch.tensor([1]), NONE, temperature=1.0, chunk=8)
    torch.testing.assert_close(found, torch.tensor([math.log(0.75)]))
