import pytest
import torch

from tvg_lightning.losses.sft import sft_loss


def test_hand_computed() -> None:
    logp_NT = torch.tensor([[-1.0, -2.0, -7.0], [-3.0, -7.0, -7.0]])
    mask_NT = torch.tensor([[True, True, False], [True, False, False]])
    out = sft_loss(logp_NT, mask_NT)
    assert out.loss.item() == 2.0  # (1 + 2 + 3) / 3: over tokens, not over rows
    assert (out.total.item(), out.denominator.item(), out.num_tokens.item()) == (6.0, 3.0, 3)


def test_same_as_cross_entropy() -> None:
    torch.manual_seed(0)
    logits_NTV = torch.randn(3, 5, 11, dtype=torch.float64)
    target_NT = torch.randint(0, 11, (3, 5))
    mask_NT = torch.rand(3, 5) < 0.6
    logp_NT = logits_NTV.log_softmax(-1).gather(-1, target_NT[..., None])[..., 0]
    labels = target_NT.masked_fill(~mask_NT, -100)
    reference = torch.nn.functional.cross_entropy(logits_NTV.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(sft_loss(logp_NT, mask_NT).loss, reference)


def test_padding_has_no_effect_whatever_it_holds() -> None:
    logp_NT = torch.tensor([[-1.0, -2.0, float("nan")], [-3.0, float("-inf"), 5.0]], requires_grad=True)
    mask_NT = torch.tensor([[1, 1, 0], [1, 0, 0]])
    out = sft_loss(logp_NT, mask_NT)
    out.loss.backward()
    assert out.loss.item() == 2.0
    assert logp_NT.grad is not None
    torch.testing.assert_close(logp_NT.grad, -mask_NT / 3)


def test_micro_batches_add_up_to_the_batch() -> None:
    torch.manual_seed(0)
    logp_NT, mask_NT = -torch.rand(6, 8, dtype=torch.float64), torch.rand(6, 8) < 0.5
    mask_NT[3] = False
    whole = sft_loss(logp_NT, mask_NT)
    for size in (1, 2, 4):
        chunks = zip(logp_NT.split(size), mask_NT.split(size), strict=True)
        added = sum(sft_loss(logp, mask, denominator=whole.denominator).loss for logp, mask in chunks)
        torch.testing.assert_close(added, whole.loss)


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (2, 0)])
def test_no_target_is_no_loss(shape: tuple[int, int]) -> None:
    assert sft_loss(torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)).loss.item() == 0.0
