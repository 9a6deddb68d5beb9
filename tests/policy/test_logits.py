"""Choosing tokens, against distributions that can be counted by hand."""

import math

import pytest
import torch
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor

from tvg_lightning.policy.logits import choose_tokens, penalised, policy_logits, token_logp
from tvg_lightning.policy.settings import GenerationSettings

NONE = torch.tensor([], dtype=torch.long)


def test_a_uniform_number_picks_the_token_whose_share_it_falls_in() -> None:
    logits = torch.tensor([0.5, 0.25, 0.25]).log().expand(4, 3)
    tokens = choose_tokens(logits, GenerationSettings(), torch.tensor([0.0, 0.49, 0.51, 0.99]))
    assert tokens.tolist() == [0, 0, 1, 2]


def test_top_k_and_top_p_leave_out_the_tail() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(1, 3)
    almost_one = torch.tensor([0.999])
    assert choose_tokens(logits, GenerationSettings(top_k=2), almost_one).tolist() == [1]
    assert choose_tokens(logits, GenerationSettings(top_p=0.4), almost_one).tolist() == [0]
    assert choose_tokens(logits, GenerationSettings(top_p=0.6), almost_one).tolist() == [1]


def test_penalties_by_hand() -> None:
    """Tokens 0 and 1 are in the prompt, 1 and 2 in the completion; 3 was never written."""
    logits = torch.tensor([[2.0, -1.0, 4.0, 3.0]])
    prompt, written = [torch.tensor([0, 1, 0])], [[1, 2, 2]]
    both = GenerationSettings(temperature=0.5, repetition_penalty=2.0, presence_penalty=1.5)
    assert penalised(logits, prompt, written, both).tolist() == [[1.0, -2.0 - 3.0, 2.0 - 3.0, 3.0]]
    greedy = GenerationSettings(temperature=0.0, presence_penalty=1.5)
    assert penalised(logits, prompt, written, greedy).tolist() == [[2.0, -2.5, 2.5, 3.0]]
    assert logits.tolist() == [[2.0, -1.0, 4.0, 3.0]]  # a copy: the policy's own log-probs are noted
    assert penalised(logits, prompt, [[]], both).tolist() == [[1.0, -2.0, 4.0, 3.0]]


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_the_repetition_penalty_is_that_of_transformers(temperature: float) -> None:
    """Theirs is applied before the temperature, ours after it: the same, for both only scale."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, generator=generator).index_fill(1, torch.tensor([7]), float("-inf"))
    prompts = [torch.randint(0, 50, (9,), generator=generator) for _ in range(3)]
    written = torch.randint(0, 50, (3, 6), generator=generator)
    theirs = RepetitionPenaltyLogitsProcessor(1.05)(torch.cat((torch.stack(prompts), written), dim=1), logits)
    settings = GenerationSettings(temperature=temperature, repetition_penalty=1.05)
    ours = penalised(logits / temperature, prompts, written.tolist(), settings)
    torch.testing.assert_close(ours, theirs / temperature)


def test_an_impossible_first_token_is_not_picked_at_zero() -> None:
    logits = torch.tensor([[float("-inf"), 0.0]])
    assert choose_tokens(logits, GenerationSettings(), torch.tensor([0.0])).tolist() == [1]


def test_temperature_divides_and_suppression_forbids() -> None:
    hidden, head = torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0], [9.0]])
    logits = policy_logits(hidden @ head.T, torch.tensor([2]), temperature=2.0)
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


def test_chunks_do_not_change_the_heads_gradient_in_bfloat16() -> None:
    """Summed in float32: 64 chunks are as near the truth as one, under autocast as Lightning opens it too."""
    torch.manual_seed(0)
    hidden, head = torch.randn(64, 32), torch.randn(20, 32)
    target, weights = torch.randint(0, 20, (64,)), torch.rand(64)

    def gradient(chunk: int, dtype: torch.dtype, autocast: bool) -> Tensor:
        ours = head.to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast, cache_enabled=False):
            logp = token_logp(hidden.to(dtype), ours, target, NONE, 1.0, chunk)
        (found,) = torch.autograd.grad((logp * weights).sum(), ours)
        return found

    truth = gradient(64, torch.float32, autocast=False)
    for dtype, autocast in ((torch.bfloat16, False), (torch.float32, True)):
        found = [gradient(chunk, dtype, autocast) for chunk in (1, 64)]
        assert all(x.dtype == dtype for x in found)
        errors = [float((x.float() - truth).abs().mean()) for x in found]
        assert errors[0] < 1.3 * errors[1] < 0.02 * float(truth.abs().mean())
