"""The report in words and as JSON."""

import json

import pytest

from tvg_lightning.__main__ import main


def test_the_tiny_policy_fits_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--policy", "tiny"])
    out = capsys.readouterr().out
    assert out.startswith("tiny: 1,471,904 parameters, 919,680 trained; a prompt has 7,980 tokens")
    assert "It fits: 0.5 GiB in 79 GiB with 10% left free." in out
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("weights", "total", "decoding"))] == [
        "weights", "total", "decoding", "total",
    ]  # fmt: skip


def test_what_does_not_fit_is_said_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--gpus", "16", "--strategy", "ddp"])
    out = capsys.readouterr().out
    assert "It does not fit" in out and out.index("gradient_checkpointing") < out.index("That fits.")
    main(["plan", "--gpu_memory_gib", "2"])
    assert "All of this is not enough." in capsys.readouterr().out


def test_json_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--policy", "tiny", "--gpu_memory_gib", "0.3", "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["peak"] == max(phase["total"] for phase in found["phases"].values())
    assert not found["fits"] and found["suggestions"]
    assert found["seconds"].keys() == found["operations"].keys()
    main(["plan", "--policy", "tiny", "--beta", "0", "--json"])
    without = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["phases"]["update"]["reference"] > without["phases"]["update"]["reference"] == 0


def test_a_token_is_as_large_as_the_policys(capsys: pytest.CaptureFixture[str]) -> None:
    """128 frames of 720 x 1280 with 1,000 tokens at most: 64 pairs of 23 x 42, or 22 x 40 where patches are of 16."""
    # before a pair of the latter: 6 tokens of its time, 7 from 10 s on, start and end; one pair has these in the 300
    for policy, tokens in (("tiny", 64 * 23 * 42), ("qwen3_vl_2b", 64 * 22 * 40 + 10 * 8 + 54 * 9 - 2)):
        main(["plan", "--policy", policy, "--max_tokens", "1000", "--json"])
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert found["prompt_tokens"] == 300 + tokens


def test_the_annotation_as_a_row_and_times_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    def planned(*args: str) -> tuple[int, int]:
        main(["plan", "--policy", "tiny", "--beta", "0", "--frames", "24", "--json", *args])
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        return found["prompt_tokens"], found["row_tokens"]

    prompt, row = planned()
    assert planned("--oracle", "true") == (prompt, row - 4 * 512)
    assert planned("--oracle", "true", "--prune", "0") == (prompt, row + 512)
    assert planned("--time_as_text", "true") == (prompt + 60, row + 60)


def test_a_bad_setting_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="error: --frames must be even"):
        main(["plan", "--frames", "3"])


@pytest.mark.parametrize("beta", ["-1", "-0.04", ".nan", ".inf"])
def test_a_weight_that_is_none_is_refused_by_name(beta: str) -> None:
    with pytest.raises(SystemExit, match=r"^error: --beta must be at least 0, not (-|nan|inf)"):
        main(["plan", "--policy", "tiny", f"--beta={beta}"])
