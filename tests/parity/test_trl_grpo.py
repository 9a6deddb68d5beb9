"""Our GRPO loss and advantages against those of TRL's GRPOTrainer, called without the trainer around them."""

import ast
import inspect
import math
import textwrap
import warnings
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.losses.test_grpo import batch
from tvg_lightning.losses.grpo import grpo_loss
from tvg_lightning.modules.importance_correction import ImportanceCorrectionSettings, importance_metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports warn of packages that nothing here needs
    trl = pytest.importorskip("trl", reason="TRL is the peer: pip install trl==1.16.0")
    from trl import GRPOTrainer
    from trl.trainer import grpo_trainer

MAX_LENGTH = 9


def trl_loss(tensors: dict[str, Tensor], weight_NX: Tensor | None = None, **settings: Any) -> tuple[Tensor, Tensor]:
    """TRL's loss of the same log-probabilities, and its gradient with respect to them."""
    logp_NT = tensors["logp_NT"].clone().requires_grad_()
    mask_NT = tensors["mask_NT"].long()
    trainer = SimpleNamespace(
        **{
            "beta": 0.0,
            "epsilon_low": 0.2,
            "epsilon_high": 0.2,
            "importance_sampling_level": "token",
            "use_vllm": weight_NX is not None,
            "vllm_importance_sampling_correction": True,
            **settings,
        },
        max_completion_length=MAX_LENGTH,
        top_entropy_quantile=1.0,
        aux_loss_enabled=False,
        off_policy_mask_threshold=None,
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
            "importance_sampling_ratio": weight_NX,
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


# ---- completions of another engine


def trl_weights(
    tensors: dict[str, Tensor], logp_sampled_NT: Tensor, settings: ImportanceCorrectionSettings
) -> tuple[Tensor, dict[str, float]]:
    """TRL's weights and what it logs of them, by its own lines, which stand in the middle of a method."""
    source = textwrap.dedent(inspect.getsource(GRPOTrainer._generate_and_score_completions))
    asked = "self.use_vllm and self.vllm_importance_sampling_correction"
    found = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.If) and ast.unparse(node.test) == asked
    ]
    weigh, log, _ = sorted(found, key=lambda node: node.lineno)
    trainer = SimpleNamespace(
        use_vllm=True,
        vllm_importance_sampling_correction=True,
        vllm_importance_sampling_mode=settings.mode,
        vllm_importance_sampling_clip_max=settings.cap,
        vllm_importance_sampling_clip_min=settings.floor,
        accelerator=SimpleNamespace(gather=lambda x: x),
        _metrics={"train": defaultdict(list)},
    )
    names = {
        **vars(grpo_trainer),
        "self": trainer,
        "mode": "train",
        "device": "cpu",
        "tool_mask": None,
        "completion_mask": tensors["mask_NT"].long(),
        "old_per_token_logps": tensors["logp_old_NT"],
        "sampling_per_token_logps": logp_sampled_NT,
    }
    for node in (weigh, log):
        exec(compile(ast.Module([node], []), inspect.getfile(GRPOTrainer), "exec"), names)
    told = {name.removeprefix("sampling/"): value for name, (value,) in trainer._metrics["train"].items()}
    return names["vllm_importance_sampling_ratio"], told


CORRECTIONS = [
    ImportanceCorrectionSettings(),
    ImportanceCorrectionSettings("token_truncate", cap=1.2),
    ImportanceCorrectionSettings("token_truncate", cap=None, floor=0.8),
    ImportanceCorrectionSettings("token_mask", cap=1.2, floor=0.8),
    ImportanceCorrectionSettings("sequence_truncate", cap=1.5, floor=0.6),
    ImportanceCorrectionSettings("sequence_mask", cap=1.5, floor=0.6),
    ImportanceCorrectionSettings("sequence_mask", cap=None),
]


def another_engine(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What it says of the tokens, with nonsense in the padding; and our gap of it."""
    mask_NT, logp_old_NT = tensors["mask_NT"], tensors["logp_old_NT"]
    noise_NT = torch.randn(mask_NT.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logp_sampled_NT = (logp_old_NT + 0.4 * noise_NT).masked_fill(~mask_NT, 7.0)
    return logp_sampled_NT, (logp_old_NT - logp_sampled_NT).masked_fill(~mask_NT, math.nan)


@pytest.mark.parametrize("settings", CORRECTIONS, ids=lambda s: f"{s.mode}-{s.cap}-{s.floor}")
def test_metrics_of_another_engine(settings: ImportanceCorrectionSettings) -> None:
    tensors = batch()
    logp_sampled_NT, gap_NT = another_engine(tensors)
    _, told = trl_weights(tensors, logp_sampled_NT, settings)
    ours = importance_metrics([gap_NT[None, :2], gap_NT[None, 2:]], settings)
    difference, ratio = "sampling_logp_difference", "importance_sampling_ratio"
    pairs = {"logp_difference": f"{difference}/mean", "logp_difference_max": f"{difference}/max"}
    pairs |= {"importance_weight": f"{ratio}/mean", "importance_weight_min": f"{ratio}/min"}
    pairs |= {"importance_weight_max": f"{ratio}/max"}
    assert sorted(told) == sorted(pairs.values())
    for name, theirs in pairs.items():
        assert ours[name] == pytest.approx(told[theirs], rel=1e-6), name


@pytest.mark.parametrize("loss_type", ["dapo", "grpo", "dr_grpo"])
@pytest.mark.parametrize("settings", CORRECTIONS, ids=lambda s: f"{s.mode}-{s.cap}-{s.floor}")
def test_weights_and_loss_of_another_engine(settings: ImportanceCorrectionSettings, loss_type: str) -> None:
    """With a token whose log-prob the engine does not know."""
    tensors = batch()
    logp_sampled_NT, gap_NT = another_engine(tensors)
    logp_sampled_NT[1, 0] = gap_NT[1, 0] = math.nan
    their_weight_NX, _ = trl_weights(tensors, logp_sampled_NT, settings)
    weight_NX, is_cut_NX = settings.weights(gap_NT[None])
    torch.testing.assert_close(weight_NX, their_weight_NX, rtol=1e-12, atol=1e-12)
    assert bool(is_cut_NX.any()) or settings.cap in (None, 3.0), "the bounds are met"
    reduction: Any = {"dapo": "token_mean", "grpo": "sequence_mean", "dr_grpo": "constant"}[loss_type]
    their_loss, their_gradient = trl_loss(tensors, their_weight_NX, loss_type=loss_type, beta=0.04)
    logp_NT = tensors["logp_NT"].clone().requires_grad_()
    loss = grpo_loss(
        **{**tensors, "logp_NT": logp_NT}, weight_NT=weight_NX, reduction=reduction, max_length=MAX_LENGTH, beta=0.04
    ).loss
    loss.backward()
    torch.testing.assert_close(loss.detach(), their_loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(logp_NT.grad, their_gradient, rtol=1e-12, atol=1e-12)
