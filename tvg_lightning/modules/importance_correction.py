"""Learning from an engine that is not quite the policy: weights, their account, and a bound of the difference.

Shape suffixes: B prompts, G completions of each, C longest completion, N = B * G, M tokens that the engine sampled.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tvg_lightning.losses.grpo import kl_estimate
from tvg_lightning.losses.importance import ImportanceMode, importance_weights
from tvg_lightning.parallel import of_all_ranks


@dataclass(frozen=True)
class ImportanceCorrectionSettings:
    """The loss of what an engine sampled that is not the policy itself; the defaults are those of TRL 1.16.

    Its kernels and precision make its log-probs differ a little from the loss side's. Every token's loss is therefore
    multiplied by ``losses.importance.importance_weights`` of that difference; the KL's is not. Completions of the
    built-in engine are the policy's own and need none.

    Args:
        mode: one weight for each token, or one for the whole sequence; truncate keeps it within floor and cap, mask
            makes it 0 outside of them.
        cap: upper bound of the weights, at least 1, which is the weight where nothing differs; null: no bound.
        floor: lower bound of the weights, from 0 to 1 (default: no bound).
        max_difference: nats by which the log-probs may differ on average over a rollout's tokens, of all processes;
            past it the run stops; null: any. The loss's first pass tells the difference at no cost, so every rollout
            is checked. Precision makes it some hundredths, weights of another step or checkpoint much more.
    """

    mode: ImportanceMode = "sequence_mask"
    cap: float | None = 3.0
    floor: float | None = None
    max_difference: float | None = 0.5

    def __post_init__(self) -> None:
        name = "grpo.importance_correction"
        if self.cap is not None and not (math.isfinite(self.cap) and self.cap >= 1):
            raise ValueError(f"{name}.cap must be at least 1, or null for none, not {self.cap}")
        if self.floor is not None and not 0 <= self.floor <= 1:
            raise ValueError(f"{name}.floor must be within 0 and 1, or null for none, not {self.floor}")
        if self.cap is not None and self.cap == self.floor:
            raise ValueError(f"{name}: cap and floor are both {self.cap}, which leaves no weights: move one of them")
        if self.mode in ("token_truncate", "sequence_truncate") and self.cap is None and self.floor is None:
            raise ValueError(f"{name}: mode {self.mode} needs a bound: set cap or floor")
        bound = self.max_difference
        if bound is not None and not (math.isfinite(bound) and bound > 0):
            raise ValueError(f"{name}.max_difference must be a positive number, or null for any, not {bound}")

    def weights(self, gap_BGC: Tensor) -> tuple[Tensor, Tensor]:
        """``importance_weights`` of (B, G, C) gaps: (N, C) of tokens, (N, 1) of sequences."""
        return importance_weights(gap_BGC.flatten(0, 1), self.mode, self.cap, self.floor)


def importance_metrics(gaps: Sequence[Tensor], settings: ImportanceCorrectionSettings) -> dict[str, float]:
    """The account of a rollout from the (B, G, C) gaps ``logp_old - logp_sampled`` of its minibatches, NaN elsewhere.

    Over what the engine sampled in all processes, of rows that are learned from: the mean and largest absolute
    difference (nats), the k3 estimate of KL(engine || loss side), the mean, least and largest weight, and the share of
    weights that a bound changed, of tokens or sequences as the mode says. {} where the engine sampled none.
    """
    parts = of_all_ranks(torch.cat([_of_sampled(gap_BGC, settings) for gap_BGC in gaps], dim=1).cpu())
    gap_M, weight_M, is_cut_M, is_counted_M = torch.cat(parts, dim=1).double()
    if not len(gap_M):
        return {}
    weight_M, is_cut_M = weight_M[is_counted_M.bool()], is_cut_M[is_counted_M.bool()]
    difference_M = gap_M.abs()
    return {
        "logp_difference": float(difference_M.mean()),
        "logp_difference_max": float(difference_M.max()),
        "sampling_kl": float(kl_estimate(-gap_M, torch.zeros_like(gap_M), "k3").mean()),
        "importance_weight": float(weight_M.mean()),
        "importance_weight_min": float(weight_M.min()),
        "importance_weight_max": float(weight_M.max()),
        "importance_cut": float(is_cut_M.mean()),
    }


def _of_sampled(gap_BGC: Tensor, settings: ImportanceCorrectionSettings) -> Tensor:
    """(4, M): gap, weight and whether a bound made it, and 1 where that counts: one token of a sequence, or every."""
    gap_NC = gap_BGC.flatten(0, 1)
    weight_NX, is_cut_NX = settings.weights(gap_BGC)
    is_sampled_NC = ~gap_NC.isnan()
    is_counted_NC = is_sampled_NC
    if weight_NX.shape[1] == 1:
        is_counted_NC = is_sampled_NC & (is_sampled_NC.cumsum(dim=1) == 1)
    rows = (gap_NC, weight_NX.expand_as(gap_NC), is_cut_NX.expand_as(gap_NC), is_counted_NC)
    return torch.stack([row[is_sampled_NC].float() for row in rows])


def fault_of(metrics: Mapping[str, float], settings: ImportanceCorrectionSettings, step: int) -> str | None:
    """The reason to end the run: ``logp_difference``, the same in all processes, is past the bound; None if not."""
    found, bound = metrics.get("logp_difference"), settings.max_difference
    if found is None or bound is None or found <= bound:
        return None
    return (
        f"step {step}: the engine's log-probabilities differ from the loss's by {found:.3g} nats on average over the "
        f"rollout's tokens, and grpo.importance_correction.max_difference is {bound:g}. Likely causes: stale weights "
        "in the engine (of an earlier step, or of another checkpoint), another precision, or another version of the "
        "model's code, with other prompts, frames or temperature. The difference of each completion is in the run's "
        f"traces, as logp_difference: python -m tvg_lightning traces RUN --first_step {step} --json. Mend the engine, "
        "or raise the bound (null: none)"
    )
