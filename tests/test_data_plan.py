"""Every training module answers all that the datamodule asks."""

import pytest
from lightning import LightningModule

from tvg_lightning.data_plan import DataPlan, Planner
from tvg_lightning.modules.grpo import GRPOModule
from tvg_lightning.modules.sft import SFTModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.tasks.mixture import Mixture

ASKED = {*Planner.__annotations__, *(name for name in vars(Planner) if not name.startswith("_"))}


@pytest.mark.parametrize("module", [GRPOModule, SFTModule, StagedModule])
def test_a_module_answers_what_it_is_asked(module: type[LightningModule]) -> None:
    assert {"needs_windows", "needs_captions", "needs_targets", "data_plan", "feature_identity", "token_side"} == ASKED
    assert not [name for name in ASKED if not hasattr(module, name)]


def test_a_plan_alone_asks_for_every_sample_once() -> None:
    plan = DataPlan(3, Mixture())
    assert (plan.num_batches, plan.updates_per_batch, plan.first_epoch, plan.goes_on) == (None, 1, 0, False)
