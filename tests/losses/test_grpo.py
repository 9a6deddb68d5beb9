import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tvg_lightning.losses.grpo import GRPOLoss, Reduction, grpo_loss, kl_estimate, loss_denominator

REDUCTIONS: list[Reduction] = ["token_mean", "sequence_mean", "constant"]


def batch(num_rows: int = 6, length: int = 7) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logp_NT = -rand(num_rows, length).abs()
    num_tokens = torch.randint(1, length + 1, (num_rows,), generator=generator)
    return {
        "logp_NT": logp_NT,
        "logp_old_NT": logp_NT + 0.3 * rand(num_rows, length),
        "logp_ref_NT": logp_NT + 0.3 * rand(num_rows, length),
        "advantage_N": rand(num_rows),
        "mask_NT": torch.arange(length)[None] < num_tokens[:, None],
    }


def loss_of(tensors: dict[str, Tensor], **settings: Any) -> GRPOLoss:
    return grpo_loss(**tensors, **{"beta": 0.04, "max_length": 10, **settings})


# ---- numbers by hand


def two_rows(ratio: list[list[float]], advantage: list[float], mask: list[list[int]], **settings: Any) -> GRPOLoss:
    logp_NT = torch.tensor(ratio, dtype=torch.float64).log()
    advantage_N = torch.tensor(advantage, dtype=torch.float64)
    return grpo_loss(logp_NT, torch.zeros_like(logp_NT), advantage_N, torch.tensor(mask), **settings)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.0, 2.0, -2.0, 0.0),
        (1.1, 2.0, -2.2, 0.0),
        (1.5, 2.0, -2.6, 1.0),  # held at 1 + 0.3
        (0.5, 2.0, -1.0, 0.0),  # a good token made rarer: never held
        (1.5, -2.0, 3.0, 0.0),  # a bad token made likelier: never held
        (0.5, -2.0, 1.6, 1.0),  # held at 1 - 0.2
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_clip(ratio: float, advantage: float, loss: float, clipped: float) -> None:
    out = two_rows([[ratio]], [advantage], [[1]], clip_low=0.2, clip_high=0.3)
    assert out.loss.item() == pytest.approx(loss)
    assert out.clip_fraction.item() == clipped
    assert out.ratio.item() == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (2.9, -2.0, 5.8, 0.0),
        (9.0, -2.0, 6.0, 1.0),  # held at 3 * 2
        (0.5, -2.0, 1.6, 1.0),  # the other side is clipped as ever
        (9.0, 2.0, -2.4, 1.0),  # and so are good tokens
    ],
)
def test_dual_clip(ratio: float, advantage: float, loss: float, clipped: float) -> None:
    """The loss of a bad token is at most 3 times its advantage (arXiv 1912.09729), and has no gradient there."""
    out = two_rows([[ratio]], [advantage], [[1]], clip_dual=3.0)
    assert out.loss.item() == pytest.approx(loss)
    assert out.clip_fraction.item() == clipped
    logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
    grpo_loss(
        logp, torch.zeros(1, 1), torch.tensor([advantage]), torch.ones(1, 1, dtype=torch.bool), clip_dual=3.0
    ).loss.backward()
    assert logp.grad is not None and bool(logp.grad.any()) == (clipped == 0.0)


def test_a_clamped_log_ratio() -> None:
    """exp(50) would be 5e21; held at exp(20) it is still far beyond any clip, and has no gradient."""
    logp = torch.tensor([[-0.5, -50.0]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[-50.5, -0.0]], dtype=torch.float64)
    mask = torch.ones(1, 2, dtype=torch.bool)
    out = grpo_loss(logp, old, torch.tensor([-1.0], dtype=torch.float64), mask, max_log_ratio=20.0)
    assert out.ratio.item() == pytest.approx((math.exp(20) + math.exp(-20)) / 2)
    assert out.loss.item() == pytest.approx((math.exp(20) + 0.8) / 2)
    out.loss.backward()
    assert logp.grad is not None and not logp.grad.any()


def test_the_loss_of_orarl(shared: Path) -> None:
    """Forty batches of the release's own function, with clip and dual clip."""
    oracle = json.loads((shared / "data/oracles/orarl_advantages.json").read_text(encoding="utf-8"))
    assert len(oracle["loss_cases"]) == 40
    for case in oracle["loss_cases"]:
        logp, old, advantage = (
            torch.tensor(case[key], dtype=torch.float64) for key in ("log_probs", "old_log_probs", "advantages")
        )
        mask = torch.arange(logp.shape[1])[None] < torch.tensor(case["lengths"])[:, None]
        settings = {name: case[name] for name in ("clip_low", "clip_high", "clip_dual")}
        for reduction, key in (("token_mean", "loss_token_mean"), ("sequence_mean", "loss_seq_mean")):
            loss = grpo_loss(logp, old, advantage, mask, reduction=reduction, max_log_ratio=20.0, **settings).loss
            assert loss.item() == pytest.approx(case[key], abs=1e-6), (case["id"], reduction)


@pytest.mark.parametrize(
    ("reduction", "loss", "denominator"),
    [
        ("token_mean", -(1 + 1 + 1 + 3) / 4, 4),
        ("sequence_mean", -((1 + 1 + 1) / 3 + 3) / 2, 2),
        ("constant", -(1 + 1 + 1 + 3) / 20, 20),
    ],
)
def test_reductions(reduction: Reduction, loss: float, denominator: int) -> None:
    out = two_rows([[1, 1, 1], [1, 9, 9]], [1, 3], [[1, 1, 1], [1, 0, 0]], reduction=reduction, max_length=10)
    assert out.loss.item() == pytest.approx(loss)
    assert out.denominator.item() == denominator
    assert out.total.item() / denominator == pytest.approx(loss)
    assert out.num_tokens.item() == 4


def test_kl_estimates() -> None:
    logp, ref = (
        torch.tensor([-1.0, -1.0], dtype=torch.float64),
        torch.tensor([-1.0, -3.0], dtype=torch.float64),
    )
    assert kl_estimate(logp, ref, "k1").tolist() == [0.0, 2.0]
    assert kl_estimate(logp, ref, "k2").tolist() == [0.0, 2.0]
    assert kl_estimate(logp, ref, "k3").tolist() == pytest.approx([0.0, math.exp(-2) + 1])


def test_k1_and_k3_are_unbiased_and_k3_is_never_negative() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    exact = (p * (p / q).log()).sum()
    for kind in ("k1", "k3"):
        torch.testing.assert_close((p * kl_estimate(p.log(), q.log(), kind)).sum(), exact)
    assert kl_estimate(p.log(), q.log(), "k3").min() >= 0.0


def test_beta_adds_the_penalty() -> None:
    logp_NT, mask_NT = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2)
    reference_NT = torch.tensor([[0.0, -2.0]], dtype=torch.float64)
    zero_N = torch.zeros(1, dtype=torch.float64)
    out = grpo_loss(logp_NT, logp_NT, zero_N, mask_NT, beta=0.5, logp_ref_NT=reference_NT)
    assert out.kl.item() == pytest.approx((math.exp(-2) + 1) / 2)
    assert out.loss.item() == pytest.approx(0.5 * out.kl.item())
    watched = grpo_loss(logp_NT, logp_NT, zero_N, mask_NT, beta=0.0, logp_ref_NT=reference_NT)
    assert watched.loss.item() == 0.0  # measured, not charged
    assert watched.kl.item() == out.kl.item()


@pytest.mark.parametrize(
    ("weights", "loss"),
    [
        ([[2.0, 0.5], [math.nan, 3.0]], -(2 + 0.5 + 9) / 3),  # of a token; the one of padding is nobody's
        ([[0.5], [2.0]], -(0.5 + 0.5 + 6) / 3),  # of a completion
        ([[0.0], [1.0]], -3 / 3),  # a masked completion still counts in the denominator
    ],
)
def test_weights_multiply_the_loss_and_not_the_kl(weights: list[list[float]], loss: float) -> None:
    logp_NT = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    advantage_N, mask_NT = torch.tensor([1.0, 3.0], dtype=torch.float64), torch.tensor([[1, 1], [0, 1]])
    reference_NT = torch.full((2, 2), -2.0, dtype=torch.float64)
    weight_NX = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    out = grpo_loss(
        logp_NT, logp_NT.detach(), advantage_N, mask_NT, beta=0.5, logp_ref_NT=reference_NT, weight_NT=weight_NX
    )
    assert out.loss.item() == pytest.approx(loss + 0.5 * (math.exp(-2) + 1))
    out.loss.backward()
    weight_NT = weight_NX.detach().expand(2, 2)
    kl_gradient = 0.5 * (1 - math.exp(-2))
    expected_NT = ((-weight_NT * advantage_N[:, None] + kl_gradient) / 3).masked_fill(mask_NT == 0, 0.0)
    torch.testing.assert_close(logp_NT.grad, expected_NT)
    assert weight_NX.grad is None
    without = grpo_loss(logp_NT, logp_NT.detach(), advantage_N, mask_NT, weight_NT=torch.ones(2, 1))
    assert without.loss.item() == grpo_loss(logp_NT, logp_NT.detach(), advantage_N, mask_NT).loss.item()


def test_gradient_on_the_first_step_is_the_policy_gradient() -> None:
    logp_NT = torch.tensor([[-1.0, -2.0], [-0.5, -3.0]], requires_grad=True)
    mask_NT = torch.tensor([[True, True], [True, False]])
    grpo_loss(logp_NT, logp_NT.detach(), torch.tensor([2.0, -1.0]), mask_NT).loss.backward()
    torch.testing.assert_close(logp_NT.grad, torch.tensor([[-2.0, -2.0], [1.0, 0.0]]) / 3)


def test_a_clipped_token_has_no_gradient() -> None:
    logp_NT = torch.tensor([[math.log(1.5), 0.0]], requires_grad=True)
    grpo_loss(logp_NT, torch.zeros(1, 2), torch.tensor([1.0]), torch.ones(1, 2)).loss.backward()
    torch.testing.assert_close(logp_NT.grad, torch.tensor([[0.0, -0.5]]))


# ---- properties


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("filler", [0.0, 50.0, float("nan"), float("inf"), float("-inf")])
def test_padding_has_no_effect_whatever_it_holds(reduction: Reduction, filler: float) -> None:
    clean = batch()
    clean["logp_NT"].requires_grad_()
    expected = loss_of(clean, reduction=reduction)
    expected.loss.backward()
    dirty = {name: tensor.detach().clone() for name, tensor in clean.items()}
    for name in ("logp_NT", "logp_old_NT", "logp_ref_NT"):
        padding = torch.full((6, 3), filler, dtype=torch.float64)
        dirty[name] = torch.cat([dirty[name].masked_fill(~dirty["mask_NT"], filler), padding], dim=1)
    dirty["mask_NT"] = torch.cat([dirty["mask_NT"], torch.zeros(6, 3, dtype=torch.bool)], dim=1)
    dirty["logp_NT"].requires_grad_()
    out = loss_of(dirty, reduction=reduction)
    out.loss.backward()
    for name in ("loss", "total", "denominator", "clip_fraction", "kl", "ratio", "num_tokens"):
        torch.testing.assert_close(getattr(out, name), getattr(expected, name))
    assert clean["logp_NT"].grad is not None
    assert dirty["logp_NT"].grad is not None
    torch.testing.assert_close(dirty["logp_NT"].grad[:, :7], clean["logp_NT"].grad)
    assert dirty["logp_NT"].grad[:, 7:].abs().max() == 0.0


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_micro_batches_add_up_to_the_batch(reduction: Reduction, size: int) -> None:
    tensors = batch()
    tensors["logp_NT"].requires_grad_()
    whole = loss_of(tensors, reduction=reduction)
    (whole_grad,) = torch.autograd.grad(whole.loss, tensors["logp_NT"])
    loss = torch.zeros((), dtype=torch.float64)
    for start in range(0, 6, size):
        chunk = {name: tensor[start : start + size] for name, tensor in tensors.items()}
        loss = loss + loss_of(chunk, reduction=reduction, denominator=whole.denominator).loss
    (grad,) = torch.autograd.grad(loss, tensors["logp_NT"])
    torch.testing.assert_close(loss, whole.loss)
    torch.testing.assert_close(grad, whole_grad)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ranks_that_average_equal_one_large_batch(reduction: Reduction) -> None:
    tensors = batch()
    whole = loss_of(tensors, reduction=reduction)
    parts = [{name: tensor[rows] for name, tensor in tensors.items()} for rows in (slice(0, 2), slice(2, 6))]
    count = sum(loss_denominator(part["mask_NT"], reduction, 10) for part in parts)
    ranks = [loss_of(part, reduction=reduction, denominator=count / 2).loss for part in parts]
    torch.testing.assert_close(sum(ranks) / 2, whole.loss)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_row_without_tokens_is_not_a_completion(reduction: Reduction) -> None:
    tensors = batch()
    grown = {name: torch.cat([tensor, tensor[:1]]) for name, tensor in tensors.items()}
    grown["mask_NT"][-1] = False
    torch.testing.assert_close(loss_of(grown, reduction=reduction).loss, loss_of(tensors, reduction=reduction).loss)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_sampled_is_no_loss(reduction: Reduction) -> None:
    tensors = batch()
    tensors["mask_NT"] = torch.zeros_like(tensors["mask_NT"])
    out = loss_of(tensors, reduction=reduction)
    assert out.loss.item() == out.kl.item() == out.ratio.item() == 0.0


def test_against_a_loop_written_out() -> None:
    tensors = batch()
    logp, old, ref = (tensors[name].tolist() for name in ("logp_NT", "logp_old_NT", "logp_ref_NT"))
    terms = []
    for n, advantage in enumerate(tensors["advantage_N"].tolist()):
        for t in range(7):
            if tensors["mask_NT"][n, t]:
                rho = math.exp(logp[n][t] - old[n][t])
                held = min(max(rho, 0.8), 1.2)
                gap = ref[n][t] - logp[n][t]
                kl = math.exp(gap) - gap - 1
                terms.append(-min(rho * advantage, held * advantage) + 0.04 * kl)
    assert loss_of(tensors).loss.item() == pytest.approx(sum(terms) / len(terms))


def test_misuse_is_caught() -> None:
    tensors = batch()
    with pytest.raises(ValueError, match="max_length is None"):
        loss_of(tensors, reduction="constant", max_length=None)
    del tensors["logp_ref_NT"]
    with pytest.raises(AssertionError, match="beta > 0"):
        loss_of(tensors)


# ---- one ratio for a whole completion (GSPO)


def test_sequence_ratio_by_hand() -> None:
    # exp(mean(log 4, log 1)) = 2 for the first row, 0.5 for the second; A = 1 is held at 1.2, A = -1 at 0.8
    out = two_rows([[4.0, 1.0], [0.5, 9.0]], [1.0, -1.0], [[1, 1], [1, 0]], ratio_level="sequence")
    assert out.loss.item() == pytest.approx((-1.2 - 1.2 + 0.8) / 3)
    assert out.clip_fraction.item() == 1.0
    assert out.ratio.item() == pytest.approx((2 + 2 + 0.5) / 3)


def test_sequence_ratio_spreads_its_gradient_over_all_tokens() -> None:
    logp_NT = torch.tensor([[-1.0, -2.0, -3.0, 7.0]], dtype=torch.float64, requires_grad=True)
    mask_NT = torch.tensor([[True, True, True, False]])
    old_NT = logp_NT.detach() - 0.03  # rho = exp(0.03), inside the clip
    grpo_loss(
        logp_NT, old_NT, torch.tensor([2.0], dtype=torch.float64), mask_NT, ratio_level="sequence"
    ).loss.backward()
    each = -2.0 * math.exp(0.03) / 3
    torch.testing.assert_close(logp_NT.grad, torch.tensor([[each, each, each, 0.0]], dtype=torch.float64))
