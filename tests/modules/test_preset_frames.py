"""The frames by which a change under a preset is known are those of its file."""

from dataclasses import replace
from typing import get_args

import pytest
import yaml

from tests.runs import ROOT
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.modules.preset_frames import PRESET_FRAMES, frames_differ
from tvg_lightning.presets import PresetName


@pytest.mark.parametrize("name", get_args(PresetName))
def test_they_are_those_of_the_file(name: PresetName) -> None:
    given = yaml.safe_load((ROOT / f"configs/eval/{name}.yaml").read_text(encoding="utf-8"))["data"]["frames"]
    assert FrameSettings(**given) == PRESET_FRAMES[name]


def test_what_makes_a_difference() -> None:
    own = PRESET_FRAMES["timelens"]
    assert not frames_differ("timelens", replace(own, decoder="pyav")), "decoders read the same frames"
    for change in ({"fps": 1.0}, {"max_tokens": 64}, {"total_tokens": None}, {"uniform_frames": 32}):
        assert frames_differ("timelens", replace(own, **change))
