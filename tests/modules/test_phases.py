"""The clock of a training step, and the memory that each of its phases takes."""

import pytest
import torch

from tvg_lightning.modules.phases import Phases


def test_a_clock_is_in_one_phase_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 3.0, 3.0, 4.0, 4.0, 9.0])
    monkeypatch.setattr("tvg_lightning.modules.phases.time.perf_counter", lambda: next(now))
    phases = Phases()
    phases.start(torch.device("cpu"))
    phases.enter("rollout")  # at 1
    phases.enter("loss")  # at 3
    phases.enter("rollout")  # at 4
    phases.end()  # at 9
    phases.end()  # in no phase: nothing to end
    assert phases.seconds == {"rollout": 7.0, "loss": 1.0}
    phases.start(torch.device("cpu"))
    assert phases.seconds == {} == phases.peak_gib


def test_the_peak_of_a_phase_is_its_own() -> None:
    phases = Phases()
    phases.start(torch.device("cpu"))
    phases.enter("large")
    large = torch.ones(64 * 2**20)  # 0.25 GiB
    del large
    phases.enter("small")
    phases.end()
    if phases.peak_gib:  # nothing where the system does not tell
        assert phases.peak_gib["large"] - phases.peak_gib["small"] == pytest.approx(0.25, abs=0.05)
