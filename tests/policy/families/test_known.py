"""A checkpoint's family is known by its config; another is refused in one sentence."""

import pytest

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.known import FAMILIES, family_of


def test_a_family_is_named_as_its_config_names_it(tiny: PolicyBackbone) -> None:
    assert tiny.family is FAMILIES["qwen2_5_vl"] and tiny.side == 28
    for model_type, family in FAMILIES.items():
        assert family.model_type == model_type == family.config_class.model_type
        assert family_of(model_type, "x") is family


@pytest.mark.parametrize("other", ["glm4v", None, ["qwen2_5_vl"]])
def test_another_is_refused_and_those_known_are_named(other: object) -> None:
    with pytest.raises(
        ValueError, match=r"policy\.checkpoint: some/model is of the architecture .*known are qwen2_5_vl"
    ):
        family_of(other, "some/model")
