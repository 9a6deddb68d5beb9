"""When a stage ends, by hand and in Lightning's own loop, and what the next one begins with."""

import errno
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.builders import GOOD_TRACE as GOOD
from tests.builders import write_traces
from tests.callbacks.conftest import Run, Written
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.settings import PlateauSettings, StageSettings
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


def test_a_stage_on_a_plateau_is_left_and_validated(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Rewards 0, 1, 1, 1: windows (0, 1), (1, 1) still rise; after the fifth step (1, 1), (1, 1) do not."""
    stages = [replace(STAGE, plateau=PLATEAU), replace(STAGE, name="refine", steps=3)]
    with caplog.at_level(logging.INFO, logger="callbacks.stage_switch"):
        done = run(stages, [StageSwitch(), StepCheckpoint(every_n_steps=1)], [0.0, 1.0])
    assert caplog.text.count('stage "explore": the reward stands still, moving on') == 1
    assert done.module.taken == ["explore"] * 5 + ["refine"] * 3
    assert done.module.validated == ["base", "explore", "refine"]
    # none at the end of a stage but the final one; that step 5 was such an end showed only when it was taken
    assert done.saved == [1, 2, 3, 4, 6, 7, 8]


def test_a_stage_that_rises_is_not_left(run: Run) -> None:
    module = run([replace(STAGE, plateau=PLATEAU)], [StageSwitch()], [0.1 * k for k in range(8)]).module
    assert len(module.taken) == 8


IMITATE = StageSettings("imitate", sft=True, steps=2, batch_size=2, harvest_from="explore")


def both(folder: Path) -> list[L.Callback]:
    """The harvest takes the traces that a test has written."""
    return [Written(str(folder / "traces")), StageSwitch()]


def test_the_harvest_of_all_processes_is_what_the_next_stage_learns(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [GOOD, replace(GOOD, follows_format=False, text="bad")])
    write_traces(tmp_path / "traces" / "explore-rank1.jsonl", [replace(GOOD, sample_id="s2", text="too")])
    write_traces(tmp_path / "traces" / "other-rank0.jsonl", [replace(GOOD, text="of another stage")])
    module = run([replace(STAGE, steps=1), IMITATE], both(tmp_path)).module
    assert module.targets[:2] == [None, None]
    assert sorted(module.targets[2:]) == ["good", "good", "too", "too"]  # two epochs of two


def test_a_harvest_of_nothing_says_what_to_do(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [replace(GOOD, follows_format=False)])
    with pytest.raises(ValueError, match='"imitate": none of 1 traces of "explore" passes the rule'):
        run(
            [replace(STAGE, steps=1), IMITATE],
            both(tmp_path),
        )


def test_a_number_of_epochs_is_refused_where_stages_say_how_long_they_are(run: Run) -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_epochs 5 does nothing here.* \(2 of them\)"):
        run([STAGE, replace(STAGE, name="refine")], [StageSwitch()], max_epochs=5)
    assert len(run([STAGE], [StageSwitch()], max_epochs=1).module.taken) == 8


def test_a_harvest_that_nobody_writes_traces_for_is_refused_before_a_step(run: Run) -> None:
    with pytest.raises(ValueError, match=r'stage "imitate" learns from the traces of "explore": add .*AnchorTrace'):
        run([replace(STAGE, steps=1), IMITATE], [StageSwitch()])


def test_the_harvest_comes_from_the_folder_that_the_traces_go_to(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "elsewhere" / "explore-rank0.jsonl", [GOOD])
    module = run([replace(STAGE, steps=1), IMITATE], [Written(str(tmp_path / "elsewhere")), StageSwitch()]).module
    assert module.targets[-1] == "good"


def test_a_full_disk_leaves_the_harvest_of_before(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is a complaint that all processes get."""
    file = tmp_path / "harvest.jsonl"
    file.write_text("of before", encoding="utf-8")
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [GOOD])

    def fills_up(part: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StagedModule, "harvest_file", lambda module, name: file)
    monkeypatch.setattr(Path, "write_bytes", fills_up)
    with pytest.raises(ValueError, match=r'the harvest for stage "imitate" could not be written \(.*No space left'):
        run([replace(STAGE, steps=1), IMITATE], both(tmp_path))
    assert file.read_text(encoding="utf-8") == "of before"


def test_several_stages_need_the_switch(run: Run) -> None:
    with pytest.raises(ValueError, match="several stages need the callback StageSwitch"):
        run([STAGE, replace(STAGE, name="refine")], [])


# ---- what ends early is not done

FROM_BASE = [replace(STAGE, steps=6), StageSettings("imitate", **GRPO, steps=6, batch_size=2, start_from="base")]


@pytest.mark.parametrize(("max_steps", "index", "weight"), [(4, 0, -0.4), (6, 0, -0.6), (8, 1, -0.2)])
def test_a_run_that_ends_early_keeps_what_it_trained(max_steps: int, index: int, weight: float, run: Run) -> None:
    """The weight falls by 0.1 a step; the second stage starts from the base, which is 0."""
    stages = [replace(stage, optimizer=OptimizerSettings(lr=0.1)) for stage in FROM_BASE]
    done = run(stages, [StageSwitch(), StepCheckpoint(every_n_steps=100)], max_steps=max_steps)
    final = torch.load(done.folder / "checkpoints" / "final.ckpt", weights_only=False)
    assert final["stage"]["index"] == index
    assert final["state_dict"]["policy.weight"].item() == pytest.approx(weight, abs=1e-3)


def test_a_harvest_is_not_made_by_a_run_that_ends_early(run: Run, tmp_path: Path) -> None:
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [replace(GOOD, follows_format=False)])
    folder = str(tmp_path / "traces")
    done = run([STAGE, IMITATE], [Written(folder), StageSwitch(), StepCheckpoint()], max_steps=3)
    assert (done.folder / "checkpoints" / "final.ckpt").is_file()


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_those_who_save_at_the_end_of_a_stage_save_its_weights(run: Run, tmp_path: Path) -> None:
    stages = [replace(stage, optimizer=OptimizerSettings(lr=0.1)) for stage in FROM_BASE]

    def every_epoch(folder: Path) -> ModelCheckpoint:
        return ModelCheckpoint(folder, save_top_k=-1, filename="{epoch}")

    done = run(stages, [StageSwitch(), every_epoch(tmp_path / "one")])
    file = tmp_path / "one" / "epoch=0.ckpt"
    saved = torch.load(file, weights_only=False)
    assert saved["state_dict"]["policy.weight"].item() == pytest.approx(-0.6, abs=1e-3)
    again = run(stages, [StageSwitch(), every_epoch(tmp_path / "one")], ckpt_path=file)
    assert again.module.taken == ["imitate"] * 6 and again.module.weights == done.module.weights[6:]
    assert again.module.lrs == done.module.lrs[6:]


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_checkpoint_of_a_stages_last_batch_is_refused(run: Run, tmp_path: Path) -> None:
    """Lightning would pass over the end of the stage: its evaluation, its harvest."""

    def every_third(folder: Path) -> ModelCheckpoint:
        return ModelCheckpoint(folder, every_n_train_steps=3, save_top_k=-1, filename="{step}")

    run(FROM_BASE, [StageSwitch(), every_third(tmp_path / "one")])
    third, sixth = (tmp_path / "one" / f"step={step}.ckpt" for step in (3, 6))
    again = run(FROM_BASE, [StageSwitch(), every_third(tmp_path / "one")], ckpt_path=third)
    assert again.module.taken == ["explore"] * 3 + ["imitate"] * 6
    with pytest.raises(ValueError, match='written at the last batch of stage "explore"'):
        run(FROM_BASE, [StageSwitch(), every_third(tmp_path / "one")], ckpt_path=sixth)


@pytest.mark.parametrize(
    "stages",
    [FROM_BASE[1:], [replace(STAGE, name="first"), *FROM_BASE], [replace(FROM_BASE[0], name="other"), FROM_BASE[1]]],
)
def test_another_list_of_stages_is_refused(stages: list[StageSettings], run: Run) -> None:
    in_which = 0 if stages[0].name == "other" else 1
    done = run(FROM_BASE, [StageSwitch(), StepCheckpoint(every_n_steps=2)], max_steps=3 + 6 * in_which)
    last = done.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match="keep the stages that are done in the list"):
        run(stages, [StageSwitch()], ckpt_path=last)


def test_a_harvest_goes_on_only_where_its_traces_are(run: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "traces")
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [GOOD])
    callbacks = [Written(folder), StageSwitch(), StepCheckpoint(every_n_steps=2)]
    last = run([STAGE, IMITATE], callbacks, max_steps=3).folder / "checkpoints" / "last.ckpt"
    (tmp_path / "traces" / "explore-rank0.jsonl").unlink()
    with pytest.raises(ValueError, match=r'no traces of stage "explore" .* though the run has been in it'):
        run([STAGE, IMITATE], [Written(folder), StageSwitch(), StepCheckpoint()], ckpt_path=last)


def test_modules_without_stages_are_left_alone() -> None:
    module, switch, trainer = L.LightningModule(), StageSwitch(), L.Trainer(max_epochs=3, logger=False)
    switch.setup(trainer, module, "fit")
    switch.on_train_batch_end(trainer, module, None, None, 0)
    assert switch.on_train_batch_start(trainer, module, None, 0) is None
    switch.on_train_epoch_end(trainer, module)
    assert trainer.fit_loop.max_epochs == 3
