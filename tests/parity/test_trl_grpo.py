"""Our GRPO loss and advantages against those of TRL's GRPOTrainer, called without the trainer around them."""

import warnings
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.losses.test_grpo import batch
from tvg_lightning.losses.grpo import grpo_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports warn of packages that nothing here needs
    trl = pytest.importorskip("trl", reason="TRL is the peer: pip install trl==1.16.0")
    from trl import GRPOTrainer

MAX_LENGTH = 9


def trl_loss(tensors: dict[str, Tensor], **settings: Any) -> tuple[Tensor, Tensor]:
    """TRL's loss of the same log-probabilities, and its gradient with respect to them."""
    logp_NT = tensors["logp_NT"].clone().requires_grad_()
    mask_NT = tensors["mask_NT"].long()
    trainer = SimpleNamespace(
        **{"beta": 0.0, "epsilon_low": 0.2, "epsilon_high": 0.2, "importance_sampling_level": "token", **settings},
        max_completion_length=MAX_LENGTH,
        top_entropy_quantile=1.0,
        aux_loss_enabled=False,
        off_policy_mask_threshold=None,
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        accelerator=SimpleNamespace(
            num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True
        ),
        _metrics={"train": defaultdict(list)},
        _get_per_token_logps_and_entropies=lambda *_, **__: (logp_NT, torch.zeros_like(logp_NT), None),
    )
    loss = GRPOTrainer._compute_loss(
        trainer,
        None,
        {
            "prompt_ids": mask_NT[:, :1],
            "prompt_mask": mask_NT[:, :1],
            "completion_ids": mask_NT,
            "completion_mask": mask_NT,
            "advantages": tensors["advantage_N"],
            "old_per_token_logps": tensors["logp_old_NT"],
            "ref_per_token_logps": tensors["logp_ref_NT"],
            "num_items_in_batch": mask_NT.sum(),
        },
    )
    loss.backward()
    assert logp_NT.grad is not None
    return loss.detach(), logp_NT.grad


OURS_AND_THEIRS = [
    ({"reduction": "token_mean"}, {"loss_type": "dapo"}),
    ({"reduction": "token_mean"}, {"loss_type": "bnpo"}),
    ({"reduction": "sequence_mean"}, {"loss_type": "grpo"}),
    ({"reduction": "constant", "max_length": MAX_LENGTH}, {"loss_type": "dr_grpo"}),
    ({"clip_high": 0.28}, {"loss_type": "dapo", "epsilon_high": 0.28}),  # clip-higher
    ({"beta": 0.04, "kl": "k3"}, {"loss_type": "dapo", "beta": 0.04}),
    (
        {"ratio_level": "sequence", "reduction": "sequence_mean", "clip_low": 3e-2, "clip_high": 4e-2},
        {"importance_sampling_level": "sequence", "loss_type": "grpo", "epsilon_low": 3e-2, "epsilon_high": 4e-2},
    ),  # GSPO
]


@pytest.mark.parametrize(
    ("ours", "theirs"), OURS_AND_THEIRS, ids=lambda settings: "-".join(map(str, settings.values()))
)
def test_loss_and_gradient(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    tensors = batch()
    their_loss, their_gradient = trl_loss(tensors, **theirs)
    logp_NT = tensors["logp_NT"].clone().requires_grad_()
    loss = grpo_loss(**{**tensors, "logp_NT": logp_NT}, **ours).loss
    loss.backward()
    torch.testing.assert_close(loss.detach(), their_loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(logp_NT.grad, their_gradient, rtol=1e-12, atol=1e-12)
