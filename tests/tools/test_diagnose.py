"""The command as people call it, on hand-made runs and on what a real one leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import train
from tests.builders import GOOD_TRACE, write_traces
from tests.runs import WITHOUT_VALIDATION, changed, grpo, stage, write_config
from tvg_lightning.__main__ import main
from tvg_lightning.schema import Span


def write_run(folder: Path, **changes: Any) -> Path:
    """A run of 20 groups of 4."""
    traces = [
        replace(GOOD_TRACE, **({"step": step, "rollout": k, "reward": k / 4, "answer_iou": k / 4} | changes))
        for step in range(20)
        for k in range(4)
    ]
    write_traces(folder / "traces" / "explore-rank0.jsonl", traces)
    return folder


def test_findings_with_counts_and_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path, follows_format=False, text="From 1 to 2 s.\nSo it is.", truncated=False)
    main(["diagnose", str(run), "--method", "time_r1"])
    assert capsys.readouterr().out.splitlines() == [
        f"{run}: 80 completions, 0 metrics",
        "",
        "explore, tvg: 80 completions in 20 groups, steps 0 to 19; "
        "reward 0.375 at first, 0.375 at last; IoU 0.375, 0.375",
        "  1. 80 of 80 completions (100.0%) never follow the format, so that what they say earns nothing or less: no",
        "     thought (80).",
        "       s1, step 0: From 1 to 2 s. So it is.",
        "       s1, step 0: From 1 to 2 s. So it is.",
        "  not judged: whether the truth was seen: these traces do not say which frames were",
    ]


def test_nothing_found_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path, truncated=False, last_frame_s=39.5)
    main(["diagnose", "--json", "--method=time_r1", str(run)])
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["num_traces"], found["num_torn"]) == (str(run), 80, 0)
    assert found["sections"][0]["findings"] == found["of_metrics"] == []
    main(["diagnose", str(run), "--method=time_r1"])
    said = capsys.readouterr().out
    assert "Nothing found: no count is beyond what a run that learns shows." in said and "  nothing found" in said


def test_thresholds_and_other_prompts_are_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path, spans=(Span(3.0, 4.0),), answer_iou=0.0)
    (tmp_path / "prompts.yaml").write_text('tvg: "{query}? Like <answer>3.0 to 4.0</answer>."')
    args = ["diagnose", str(run), "--method=time_r1", "--json"]

    def names() -> list[str]:
        return [f["name"] for f in json.loads(capsys.readouterr().out)["sections"][0]["findings"]]

    main(args)
    assert "copied_example" not in names()
    main([*args, "--prompts", str(tmp_path / "prompts.yaml")])
    assert names() == ["copied_example"]
    main([*args, "--prompts", str(tmp_path / "prompts.yaml"), "--rule.fewest", "100"])
    assert names() == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["missing"], "missing: there is no such folder"),
        (["."], r"\.: no traces here"),
        ([".", "--thought", "false"], "--thought and --prompts need --method"),
        ([".", "--rule.growth", "0.5"], "rule.growth: expected a ratio above 1"),
    ],
)
def test_what_cannot_be_diagnosed_is_one_line(
    args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(["diagnose", *args])
    said = str(error.value) if error.value.code != 2 else capsys.readouterr().err
    assert words.replace("\\", "") in said


def test_a_real_run_of_which_every_answer_is_truncated(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = grpo(reward={"format": 1.0, "soft_iou": 1.0}, generation={"max_new_tokens": 4}, num_generations=4)
    config = write_config(tmp_path, shapes, stages=[stage("short", 3, **settings)])
    with changed(config) as given:
        given["trainer"]["logger"] = {
            "class_path": "lightning.pytorch.loggers.CSVLogger",
            "init_args": {"save_dir": str(tmp_path), "name": "log", "version": ""},
        }
    train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION])
    capsys.readouterr()
    main(["diagnose", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    (section,) = found["sections"]
    assert (section["stage"], section["task"], section["num_traces"]) == ("short", "tvg", 24)
    shares = {finding["name"]: finding["explains"] for finding in section["findings"]}
    assert list(shares)[:3] == ["truncated", "format", "constant_groups"] and set(shares.values()) == {1.0}
    assert section["not_judged"] == ["whether the prompt's example was copied: no time was read, or --method is needed"]
    gradient = [finding for finding in found["of_metrics"] if finding["name"] == "no_gradient"]
    assert gradient and gradient[0]["num"] == 3


def test_metrics_that_cannot_be_read_are_said_beside_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = write_run(tmp_path, truncated=False, last_frame_s=39.5)
    (run / "summary.json").write_text('[{"stage')
    main(["diagnose", "--json", "--method=time_r1", str(run)])
    found = json.loads(capsys.readouterr().out)
    words = (
        f"{run}/summary.json:1: not one JSON value (Unterminated string starting at). The table of stages is left out"
    )
    assert found["num_traces"] == 80 and found["notes"][0].startswith(words)
    assert caplog.messages == found["notes"]
