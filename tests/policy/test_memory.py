"""Peaks of phases: the second does not remember the first."""

from pathlib import Path

import pytest
import torch

from tvg_lightning.policy import memory
from tvg_lightning.policy.memory import peak_gib, start_peak

CPU = torch.device("cpu")


def test_a_phase_has_its_own_peak() -> None:
    start_peak(CPU)
    before = peak_gib(CPU)
    if before is None:
        pytest.skip("only Linux tells")
    torch.ones(2**26)  # a quarter of a GiB, held for a moment
    large = peak_gib(CPU)
    start_peak(CPU)
    small = peak_gib(CPU)
    assert large is not None and small is not None
    assert large - before > 0.2 and large - small > 0.2


def test_where_peaks_are_not_told_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_RESET", tmp_path / "clear_refs")
    start_peak(CPU)
    assert peak_gib(CPU) is None
