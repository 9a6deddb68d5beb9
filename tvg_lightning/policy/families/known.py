"""The families that the policy can be of."""

from tvg_lightning.policy.families.family import Family
from tvg_lightning.policy.families.qwen2_5_vl import QWEN2_5_VL
from tvg_lightning.policy.families.qwen2_vl import QWEN2_VL
from tvg_lightning.policy.families.qwen3_vl import QWEN3_VL

FAMILIES = {family.model_type: family for family in (QWEN2_5_VL, QWEN3_VL, QWEN2_VL)}


def family_of(model_type: object, checkpoint: str) -> Family:
    """The family of a ``model_type``; another than those known is refused, in the name of the checkpoint."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise ValueError(
            f"policy.checkpoint: {checkpoint} is of the architecture {model_type}; known are {', '.join(FAMILIES)}: "
            "take a checkpoint of one of them, or add a family (docs/backbones.md)"
        )
    return FAMILIES[model_type]
