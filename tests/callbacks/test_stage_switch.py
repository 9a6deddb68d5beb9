"""When a stage ends, by hand and in Lightning's own loop, and what the next one begins with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest

from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.builders import GOOD_TRACE as GOOD
from tests.builders import write_traces
from tests.callbacks.conftest import Run
from tvg_lightning.modules.settings import GRPOSettings, OptimizerSettings, PlateauSettings, StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.weights import RewardWeights

GRPO: dict[str, Any] = {"grpo": GRPOSettings(beta=0.0), "reward": RewardWeights(iou=1.0)}
PLATEAU = PlateauSettings(window=2, min_gain=0.1)
STAGE = StageSettings("explore", **GRPO, steps=8, batch_size=2)


@pytest.mark.parametrize(
    ("plateau", "rewards", "expected"),
    [
        (None, [0.0, 0.0, 0.0, 0.0], False),
        (PLATEAU, [], False),
        (PLATEAU, [0.0, 0.0, 0.0], False),  # two windows are not full yet
        (PLATEAU, [0.0, 0.0, 0.0, 0.0], True),
        (PLATEAU, [0.0, 0.2, 0.1, 0.5], False),  # 0.3 - 0.1 = 0.2
        (PLATEAU, [0.0, 0.5, 0.25, 0.375], True),  # 0.3125 - 0.25 < 0.1
        (PLATEAU, [1.0, 1.0, 0.0, 0.0], True),  # falling
        (PlateauSettings(1, 0.25), [0.25, 0.5], False),  # exactly the gain asked for
        (PlateauSettings(1, -0.25), [0.5, 0.375], False),  # may fall a little
    ],
)
def test_plateaus_by_hand(plateau: PlateauSettings | None, rewards: list[float], expected: bool) -> None:
    switch = StageSwitch()
    switch.load_state_dict({"rewards": rewards})
    module = StagedModule(PolicySettings(), [replace(STAGE, plateau=plateau)])
    assert switch.on_plateau(module) is expected
    assert switch.state_dict() == {"rewards": rewards}


def test_stages_follow_each_other(run: Run) -> None:
    """Steps, learning rates and weights by hand: SGD-like AdamW moves a constant gradient by its rate."""
    stages = [
        replace(STAGE, steps=2, optimizer=OptimizerSettings(lr=0.5)),
        StageSettings("again", **GRPO, steps=3, start_from="base", optimizer=OptimizerSettings(lr=0.25)),
        StageSettings("refine", **GRPO, epochs=0.5, batch_size=1, optimizer=OptimizerSettings(lr=1.0)),
    ]
    module = run(stages, [StageSwitch()]).module
    assert module.taken == ["explore"] * 2 + ["again"] * 3 + ["refine"] * 2
    assert module.validated == ["base", "explore", "again", "refine"]
    assert module.lrs == [0.5, 0.5, 0.25, 0.25, 0.25, 1.0, 1.0]
    assert module.weights == pytest.approx([0.0, -0.5, 0.0, -0.25, -0.5, -0.75, -1.75], abs=1e-5)


def test_a_stage_on_a_plateau_is_left_and_validated(run: Run) -> None:
    """Rewards 0, 1, 1, 1: windows (0, 1), (1, 1) still rise; after the fifth step (1, 1), (1, 1) do not."""
    stages = [replace(STAGE, plateau=PLATEAU), replace(STAGE, name="refine", steps=3)]
    done = run(stages, [StageSwitch(), StepCheckpoint(every_n_steps=1)], [0.0, 1.0])
    assert done.module.taken == ["explore"] * 5 + ["refine"] * 3
    assert done.module.validated == ["base", "explore", "refine"]
    # none at the end of a stage but the final one; that step 5 was such an end showed only when it was taken
    assert done.saved == [1, 2, 3, 4, 6, 7, 8]


def test_a_stage_that_rises_is_not_left(run: Run) -> None:
    module = run([replace(STAGE, plateau=PLATEAU)], [StageSwitch()], [0.1 * k for k in range(8)]).module
    assert len(module.taken) == 8


IMITATE = StageSettings("imitate", sft=True, steps=2, batch_size=2, harvest_from="explore")


def test_the_harvest_of_all_processes_is_what_the_next_stage_learns(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [GOOD, replace(GOOD, follows_format=False, text="bad")])
    write_traces(tmp_path / "traces" / "explore-rank1.jsonl", [replace(GOOD, sample_id="s2", text="too")])
    write_traces(tmp_path / "traces" / "other-rank0.jsonl", [replace(GOOD, text="of another stage")])
    module = run([replace(STAGE, steps=1), IMITATE], [StageSwitch(str(tmp_path / "traces"))]).module
    assert module.targets[:2] == [None, None]
    assert sorted(module.targets[2:]) == ["good", "good", "too", "too"]  # two epochs of two


def test_a_harvest_of_nothing_says_what_to_do(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [replace(GOOD, follows_format=False)])
    with pytest.raises(ValueError, match='"imitate": none of 1 traces of "explore" passes the rule'):
        run([replace(STAGE, steps=1), IMITATE], [StageSwitch(str(tmp_path / "traces"))])


def test_a_harvest_without_traces_names_the_callback(run: Run) -> None:
    with pytest.raises(ValueError, match=r'no traces of stage "explore" in .*run/traces: add the AnchorTrace callback'):
        run([replace(STAGE, steps=1), IMITATE], [StageSwitch()])


def test_modules_without_stages_are_left_alone() -> None:
    module, switch, trainer = L.LightningModule(), StageSwitch(), L.Trainer(max_epochs=3, logger=False)
    switch.setup(trainer, module, "fit")
    switch.on_train_batch_end(trainer, module, None, None, 0)
    assert switch.on_train_batch_start(trainer, module, None, 0) is None
    switch.on_train_epoch_end(trainer, module)
    assert trainer.fit_loop.max_epochs == 3
