"""The config of a fit stays what it was, whatever is started in its folder later."""

import json
from pathlib import Path

import pytest
import yaml

import train
from tests.runs import WITHOUT_VALIDATION, stage, write_config


def files(folder: Path) -> dict[str, bytes]:
    """All files of a run but its lock, by their names in it."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != ".run.lock"}


def test_no_other_command_writes_over_what_a_fit_wrote(tmp_path: Path, shapes: Path) -> None:
    run = tmp_path / "run"
    settings = {"save_dir": str(run), "name": "log", "version": ""}  # one folder for all
    log = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": settings}
    config = write_config(run, shapes, stages=[stage("only", 1, sft=True)])
    given = ["--config", str(config), "--trainer.logger", json.dumps(log)]
    train.main(["fit", *given, *WITHOUT_VALIDATION])
    fit, final = files(run), run / "checkpoints" / "final.ckpt"
    assert {"log/config.yaml", "machine.json", "checkpoints/final.ckpt"} <= fit.keys()
    for command in ("validate", "test", "predict"):
        train.main([command, *given, "--ckpt_path", str(final), "--trainer.limit_predict_batches", "1"])
        assert {name: files(run)[name] for name in fit} == fit, command
        saved = yaml.safe_load((run / "log" / f"{command}.yaml").read_text(encoding="utf-8"))
        assert saved["trainer"]["limit_predict_batches"] == 1
    with pytest.raises(ValueError, match="lora"):
        train.main(["fit", *given, *WITHOUT_VALIDATION, "--ckpt_path", str(final), "--tuning", "lora"])
    assert {name: files(run)[name] for name in fit} == fit, "a fit that was refused"
    train.main(["fit", *given, *WITHOUT_VALIDATION, "--seed_everything", "7"])
    aside = run / "earlier-1"
    assert (aside / "config.yaml").read_bytes() == fit["log/config.yaml"]
    assert (aside / "machine.json").read_bytes() == fit["machine.json"]
    assert yaml.safe_load((run / "log" / "config.yaml").read_text(encoding="utf-8"))["seed_everything"] == 7
