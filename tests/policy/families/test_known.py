"""A checkpoint's family is known by its config; another is refused in one sentence."""

import pytest

from tests.families import CONFIGS, PACKAGED
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.family import Family
from tvg_lightning.policy.families.known import FAMILIES, family_of


def test_a_family_is_named_as_its_config_names_it(tiny: PolicyBackbone, request: pytest.FixtureRequest) -> None:
    model_type = request.node.callspec.params["checkpoint"]
    assert tiny.family is FAMILIES[model_type] and tiny.side == tiny.family.geometry.side
    assert tiny.model.config.model_type == model_type


@pytest.mark.parametrize(("model_type", "family"), FAMILIES.items())
def test_a_family_is_found(model_type: str, family: Family) -> None:
    assert family.model_type == model_type == family.config_class.model_type
    assert family_of(model_type, "x") is family


def test_every_family_has_a_checkpoint_for_tests() -> None:
    assert {PACKAGED, *CONFIGS} == FAMILIES.keys()


@pytest.mark.parametrize("other", ["glm4v", None, ["qwen2_5_vl"]])
def test_another_is_refused_and_those_known_are_named(other: object) -> None:
    with pytest.raises(
        ValueError,
        match=r"policy\.checkpoint: some/model is of the architecture .*known are qwen2_5_vl, qwen3_vl, qwen2_vl",
    ):
        family_of(other, "some/model")
