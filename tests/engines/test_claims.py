"""A server works for one run at a time, for as long as that lives."""

import subprocess
import sys

import pytest

from tests.runs import ROOT
from tvg_lightning.engines import claims
from tvg_lightning.engines.claims import LEASE_S, Claims


def test_the_first_run_has_the_server_until_it_leaves_or_is_silent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(claims.time, "monotonic", lambda: now)
    ours = Claims()
    assert not ours.is_held_by("a")
    assert ours.take("a", "process 1 on x") is None and ours.holder == "process 1 on x"
    now += LEASE_S - 1
    ours.heard("b")
    assert ours.take("b", "process 2 on y") == f"process 1 on x (last heard of {LEASE_S - 1:.0f} s ago)"
    ours.heard("a")
    now += LEASE_S - 1
    assert ours.take("b", "process 2 on y") is not None and ours.take("a", "process 1 on x") is None
    now += LEASE_S
    assert ours.take("b", "process 2 on y") is None, "killed, or its machine is off"
    ours.leave("a")
    assert ours.is_held_by("b") and not ours.is_held_by("a")
    ours.leave("b")
    assert ours.take("c", "process 3 on z") is None


HOLDER = """
import os, sys
from tvg_lightning.engines.claims import Claim
claim = Claim(sys.argv[1])
claim.keep()
print(claim.run, flush=True)
sys.stdin.readline()
if os.fork() == 0:
    sys.exit()  # a process that was forked from it leaves for nobody
os.wait()
print("forked", flush=True)
sys.stdin.readline()
"""


def test_a_run_leaves_at_its_end() -> None:
    from tests.engines.test_vllm_remote import rollouts_on

    with rollouts_on() as (rollouts, url):
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, url], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            run = process.stdout.readline().strip()
            assert rollouts.claims.take(run, "process 1") is None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "forked\n" and rollouts.claims.is_held_by(run)
        assert process.returncode == 0 and not rollouts.claims.is_held_by(run)
