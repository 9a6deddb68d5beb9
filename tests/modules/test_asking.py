"""Settings of a question outside of a run, and policies by their names."""

from pathlib import Path

import pytest

from tvg_lightning.modules.asking import AskSettings, load_policy


def test_settings_fit_the_policy_and_given_ones_stay() -> None:
    assert AskSettings().settled(is_tiny=True) == AskSettings(2.0, 40, 1, 96)
    assert AskSettings(max_frames=16).settled(is_tiny=False) == AskSettings(2.0, 16, 128, 512)
    for odd in (0, 1, 41):
        with pytest.raises(ValueError, match=f"--max_frames must be an even number of at least 2 .*not {odd}"):
            AskSettings(max_frames=odd)
    with pytest.raises(ValueError, match="--fps"):
        AskSettings(fps=float("nan"))


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no checkpoint"):
        load_policy(str(tmp_path / "final.ckpt"))
