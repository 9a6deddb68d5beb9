"""Choosing tokens, against distributions that can be counted by hand."""

import math

import pytest
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


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_gradients_of_token_logp_are_those_of_a_log_softmax(temperature: float, chunk: int) -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(7, 5, requires_grad=True), torch.randn(11, 5, requires_grad=True)
    target, suppressed, weights = torch.tensor([0, 1, 2, 3, 9, 5, 1]), torch.tensor([4, 10]), torch.randn(7)
    logits = (hidden @ head.T) / (temperature or 1.0)
    logits = logits.index_fill(1, suppressed, float("-inf"))
    theirs = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    ours = token_logp(hidden, head, target, suppressed, temperature, chunk)
    torch.testing.assert_close(ours, theirs)
    expected = torch.autograd.grad((theirs * weights).sum(), (hidden, head))
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), (hidden, head)), expected)
    # and where the head is frozen
    ours = token_logp(hidden, head.detach(), target, suppressed, temperature, chunk)
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), hidden)[0], expected[0])


def test_token_logp_keeps_one_number_a_token_beside_its_inputs() -> None:
    hidden, head = torch.randn(70, 5, requires_grad=True), torch.randn(1100, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), id):
        token_logp(hidden, head, torch.zeros(70, dtype=torch.long), NONE, 1.0, chunk=8)
    assert sorted(kept) == [0, 70, 70, 350, 5500]  # no suppressed ones; targets, log-sum-exps; hidden states; head
