"""What a run says of its progress where its output is a file: of a fit, one that goes on, and a prediction."""

import re
from pathlib import Path

import pytest

import train
from tests.runs import changed, grpo, stage, with_callback, write_config

TIME = r"\d+(\.\d+)? (s|ms|min \d+ s)"


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines as often as something happens."""
    for name in ("FIRST_LINE_S", "LEAST_S", "MOST_S"):
        monkeypatch.setattr(f"tvg_lightning.progress.{name}", 0.0)


def config_of(folder: Path, shapes: Path, enable: bool = True) -> Path:
    stages = [stage(name, 3, **grpo(generation={"max_new_tokens": 8})) for name in ("explore", "refine")]
    path = write_config(folder, shapes, stages=stages)
    with changed(path) as config:
        config["trainer"]["enable_progress_bar"] = enable
    return path


def test_a_fit_and_a_prediction(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = str(config_of(tmp_path, shapes))
    caplog.set_level("INFO", "callbacks")
    train.main(["fit", "--config", config])
    said = capsys.readouterr().err
    for number, name in enumerate(("explore", "refine"), start=1):
        told = (
            rf"stage {name} \({number} of 2\): 2 of 3 steps \(67%\), {TIME} a step, {TIME} left · loss -?\d.*reward \d"
        )
        assert re.search(told, said), said
        assert re.search(rf"stage {name} \({number} of 2\): 3 steps in {TIME}", said)
    assert re.search(rf"validating before training: \d+ batch(es)? in {TIME}", said)
    assert said.count("validating: ") >= 2 and "\r" not in said
    lines = [record.getMessage() for record in caplog.records if record.name == "callbacks.run_progress"]
    assert [line.partition(":")[0] for line in lines] == [
        f"held_out {when}" for when in ("before training", "after 3 updates", "after 6 updates")
    ]
    assert all(re.search(r"mIoU \d\.\d{3}, R1@0\.5 \d\.\d{3}, format_rate \d\.\d{3}$", line) for line in lines)
    train.main(["predict", "--config", config, "--ckpt_path", str(tmp_path / "checkpoints" / "final.ckpt")])
    assert re.search(rf"predicting: \d+ batch(es)? in {TIME}", capsys.readouterr().err)


def test_a_reward_is_told_with_the_step_that_earned_it(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two updates a rollout: the second one earns nothing."""
    stages = [stage("only", 4, **grpo(generation={"max_new_tokens": 8}, num_minibatches=2))]
    config = write_config(tmp_path, shapes, stages=stages)
    with changed(config) as settings:
        settings["trainer"]["enable_progress_bar"] = True
    train.main(["fit", "--config", str(config), "--trainer.limit_val_batches", "0"])
    said = capsys.readouterr().err
    assert re.search(r"1 of 4 steps.*loss -?\d.*reward \d", said) and re.search(r"3 of 4 steps.*reward \d", said)
    assert re.search(r"2 of 4 steps.*loss -?\d", said) and not re.search(r"2 of 4 steps.*reward", said)


@pytest.mark.slow
def test_max_steps_and_a_run_that_goes_on(tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(config_of(tmp_path, shapes))
    without = ["--trainer.limit_val_batches", "0"]
    train.main(["fit", "--config", config, "--trainer.max_steps", "2", *without])
    said = capsys.readouterr().err
    assert "1 of 2 steps (50%)" in said and "stage explore (1 of 2): 2 steps in" in said
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    train.main(["fit", "--config", config, "--ckpt_path", last, *without])
    said = capsys.readouterr().err
    assert "(1 of 2): 1 of 3 steps" not in said and "stage explore (1 of 2): 3 steps in" in said


@pytest.mark.parametrize("own", [False, True])
def test_it_can_be_turned_off_and_replaced(
    own: bool, tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(config_of(tmp_path, shapes, enable=own))
    bar = ["--trainer.callbacks+", '{"class_path": "lightning.pytorch.callbacks.TQDMProgressBar"}'] if own else []
    train.main(["fit", "--config", config, "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0", *bar])
    said = capsys.readouterr()
    assert "stage explore" not in said.err
    assert ("Epoch 0" in said.out + said.err) == own


def test_a_run_that_dies_says_how_far_it_came(tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(config_of(tmp_path, shapes))
    given = with_callback("Poison", batch=2)
    with pytest.raises(ValueError, match="not finite"):
        train.main(["fit", "--config", config, "--trainer.limit_val_batches", "0", *given])
    assert "stage explore (1 of 2): stopped at 2 of 3 steps" in capsys.readouterr().err
