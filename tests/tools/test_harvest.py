from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE as GOOD
from tests.builders import write_traces
from tvg_lightning.harvest import HarvestRule
from tvg_lightning.schema import Span
from tvg_lightning.tools.harvest import main
from tvg_lightning.traces import read_traces


def test_what_is_kept_and_why_the_rest_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better = replace(GOOD, text="better", spans=(Span(10.0, 20.0),))
    first = write_traces(
        tmp_path / "a.jsonl", [GOOD, replace(GOOD, follows_format=False), replace(GOOD, follows_format=False)]
    )
    second = write_traces(tmp_path / "b.jsonl", [replace(GOOD, spans=None), better, GOOD])
    out = tmp_path / "out" / "harvest.jsonl"
    main([first, second], out)
    assert list(read_traces(out)) == [GOOD, better]
    said = capsys.readouterr().out
    assert said == f"2 of 6 traces kept in {out}; left: 2 format, 1 no answer, 1 repeated or beyond max_per_sample\n"


def test_the_rule_is_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better = replace(GOOD, text="better", spans=(Span(10.0, 20.0),))
    traces = write_traces(tmp_path / "a.jsonl", [GOOD, better])
    main([traces], tmp_path / "one.jsonl", HarvestRule(max_per_sample=1))
    assert list(read_traces(tmp_path / "one.jsonl")) == [better]
    main([traces], tmp_path / "both.jsonl")
    assert capsys.readouterr().out.endswith(f"2 of 2 traces kept in {tmp_path / 'both.jsonl'}; left: none\n")


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    traces = write_traces(tmp_path / "a.jsonl", [GOOD])
    with pytest.raises(ValueError, match=r"a\.jsonl exists already: remove it or choose another name"):
        main([traces], traces)
    assert list(read_traces(traces)) == [GOOD]


def test_a_missing_file_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.jsonl"):
        main([tmp_path / "missing.jsonl"], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
