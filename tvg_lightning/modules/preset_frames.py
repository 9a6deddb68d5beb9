"""The frames of every evaluation preset, by which a run is known that reads others under a preset's name."""

from dataclasses import replace
from typing import Final

from tvg_lightning.data.video import FrameSettings
from tvg_lightning.presets import PresetName

_UTILITY: Final = FrameSettings(fps=2.0, min_frames=4, max_frames=768, min_tokens=16, max_tokens=768, total_tokens=3584)
_LONG: Final = FrameSettings(fps=4.0, min_frames=4, max_frames=2048, min_tokens=1, max_tokens=400, total_tokens=128_000)
_QWEN: Final = replace(_UTILITY, min_tokens=128, total_tokens=24_576)
PRESET_FRAMES: Final[dict[PresetName, FrameSettings]] = {
    "timelens": replace(_UTILITY, min_tokens=64, total_tokens=14_336),
    "timelens2": _LONG,
    "orarl": _LONG,
    "time_r1": _UTILITY,
    "timezero": _UTILITY,
    "videochat_r1": _UTILITY,
    "taro": replace(_UTILITY, max_frames=1024, min_tokens=4, total_tokens=4096),
    "museg": _UTILITY,
    "lmms_charades": FrameSettings(
        fps=2.0, min_frames=4, max_frames=32, uniform_frames=32, min_tokens=1, max_tokens=2048
    ),
    "lmms_timelens": _QWEN,
    "omtg": _QWEN,
}


def frames_differ(preset: PresetName, frames: FrameSettings) -> bool:
    """True where not the preset's frames are read; whatever decoder reads them, they are the same.

    >>> frames_differ("time_r1", PRESET_FRAMES["museg"]), frames_differ("time_r1", FrameSettings())
    (False, True)
    """
    return replace(frames, decoder="auto") != PRESET_FRAMES[preset]
