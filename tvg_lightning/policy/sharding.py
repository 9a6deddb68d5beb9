"""FSDP2: the policy's weights in shards, one group for each decoder layer and vision block, the rest in the root's.

Gathered group by group in the loss passes; gathered once for a whole rollout, not once a token.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings


def check_sharding(policy: PolicySettings, optimizers: Sequence[str], is_sharded: bool) -> None:
    """Refuse what cannot be cut into shards, and what would be passed over where there are none.

    ``optimizers``: their names, of every stage.
    """
    if is_sharded:
        if policy.tuning == "qlora":
            raise ValueError("tuning qlora cannot be sharded: 4-bit weights are packed; take lora, or strategy ddp")
        if other := next((name for name in optimizers if name != "adamw"), None):
            raise ValueError(
                f"optimizer.name {other} cannot be sharded: bitsandbytes steps whole weights only; take adamw, whose "
                "states are in shards too, or strategy ddp"
            )
        return
    if policy.cpu_offload:
        raise ValueError("policy.cpu_offload is for shards: take trainer.strategy fsdp, or set it to false")


def shard(policy: PolicyBackbone, mesh: DeviceMesh, compute_dtype: torch.dtype) -> None:
    """Shard a policy over the processes of a 1-D mesh, in place; every process must hold the same weights before.

    Weights are kept in ``policy.dtype``, gathered and computed with in ``compute_dtype``; gradients are summed in
    float32. With ``policy.cpu_offload`` shards, gradients and the optimizer's states wait in main memory.
    """
    # inputs are left alone: casting them would copy what a layer hands on through its arguments (kv_cache.py)
    precision = MixedPrecisionPolicy(compute_dtype, torch.float32, cast_forward_inputs=False)
    offload = CPUOffloadPolicy(pin_memory=mesh.device_type != "cpu") if policy.settings.cpu_offload else OffloadPolicy()
    for block in [*policy.model.model.visual.blocks, *policy.model.model.language_model.layers]:
        fully_shard(block, mesh=mesh, mp_policy=precision, offload_policy=offload)
    # the root too lets go after each pass: between two passes all weights are shards, and can be saved or changed
    fully_shard(policy, mesh=mesh, mp_policy=precision, offload_policy=offload, reshard_after_forward=True)
    for name in ("video_features", "logp"):  # what is called from outside, as others call forward
        register_fsdp_forward_method(policy, name)


def back_to_main_memory(policy: PolicyBackbone) -> None:
    """Move shards back under ``policy.cpu_offload``, after something moved the whole module; buffers stay."""
    if policy.settings.cpu_offload:
        policy._apply(lambda tensor: tensor.cpu() if isinstance(tensor, DTensor) else tensor)


@contextmanager
def gathered(policy: PolicyBackbone) -> Iterator[None]:
    """Whole weights for a while, gathered once; nothing to do where there are no shards."""
    groups = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    for group in groups:
        group.unshard()
        group.set_reshard_after_forward(False, recurse=False)
    try:
        yield
    finally:
        for group in groups:
            group.set_reshard_after_forward(True, recurse=False)
            group.reshard()
