import json
from pathlib import Path

import pytest

from tests.teacher.server import GOOD, answer
from tvg_lightning.teacher.ledger import Ledger
from tvg_lightning.teacher.reply import Outcome, Tokens, Verdict

WORST = Tokens(500, 64)
ANSWERED = Outcome(Verdict.ANSWERED, "", Tokens(100, 20), answer().content)
FAILED = Outcome(Verdict.RETRY, "HTTP 500: no", Tokens(0, 0))
LOST = Outcome(Verdict.RETRY, "no whole answer", None)


def state(path: Path) -> tuple[dict[str, str], int, Tokens]:
    with Ledger(path) as ledger:
        return {key: reply.text for key, reply in ledger.replies.items()}, ledger.num_requests, ledger.tokens


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two tries for a: one lost, one answered; one for b: free of charge, and not answered."""
    path = tmp_path / "out" / "ledger.jsonl"
    with Ledger(path) as ledger:
        for key, outcome in (("a", LOST), ("b", FAILED), ("a", ANSWERED)):
            ledger.sent(key, "s1", WORST)
            ledger.settle(key, outcome, WORST)
    return path


def test_what_was_paid_for_is_there_after_a_restart(path: Path) -> None:
    assert state(path) == ({"a": GOOD}, 3, Tokens(600, 84))  # 500 + 0 + 100 and 64 + 0 + 20
    assert state(path) == ({"a": GOOD}, 3, Tokens(600, 84))


def test_the_same_counts_while_it_runs(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.sent("a", "s1", WORST)
        assert (ledger.num_requests, ledger.tokens, ledger.replies) == (1, Tokens(0, 0), {})
        assert ledger.settle("a", LOST, WORST) == WORST
        ledger.sent("a", "s1", WORST)
        assert ledger.settle("a", ANSWERED, WORST) == Tokens(100, 20)
        assert (ledger.num_requests, ledger.tokens) == (2, Tokens(600, 84))
        assert ledger.replies["a"].max_tokens == 64


def test_the_raw_response_is_kept(path: Path) -> None:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert records[-1]["response"] == answer().content
    assert records[0]["sample_id"] == "s1"


def test_what_was_under_way_at_a_kill_counts_at_its_worst_and_is_not_answered(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.sent("c", "s1", WORST)
    assert state(path) == ({"a": GOOD}, 4, Tokens(1100, 148))
    with Ledger(path) as ledger:  # asked again, and killed again
        ledger.sent("c", "s1", WORST)
    assert state(path) == ({"a": GOOD}, 5, Tokens(1600, 212))
    with Ledger(path) as ledger:
        ledger.sent("c", "s1", WORST)
        ledger.settle("c", ANSWERED, WORST)
    assert state(path) == ({"a": GOOD, "c": GOOD}, 6, Tokens(1700, 232))


def test_a_torn_last_line_was_never_written(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in (last + 1, len(whole) - 2):
        path.write_bytes(whole[:cut])
        # the answer is lost, its try is known: 500 + 0 + 500 and 64 + 0 + 64
        assert state(path) == ({}, 3, Tokens(1000, 128))
        assert path.read_bytes() == whole[:last]
        with Ledger(path) as ledger:
            ledger.sent("a", "s1", WORST)
            ledger.settle("a", ANSWERED, WORST)
        assert state(path)[0] == {"a": GOOD}
    path.write_bytes(whole)
    expected = state(path)
    path.write_bytes(whole[:-1])  # only the line's end is missing: the answer was paid for, and is kept
    assert state(path) == expected and path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"event": "outcome", "key": "z", "verdict": "answered", "tokens": [1, 1], "response": null}',
        '{"event": "sent", "key": "z", "worst": [1]}',
        '{"event": "sent", "key": "z", "worst": 1}',
    ],
)
def test_a_line_of_something_else_is_named(path: Path, line: str) -> None:
    content = path.read_text() + line + "\n"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"ledger\.jsonl:7: not .* restore the file"):
        Ledger(path)
    assert path.read_text() == content


def test_two_runs_do_not_share_a_ledger(path: Path) -> None:
    with Ledger(path), pytest.raises(ValueError, match="another run is writing it"):
        Ledger(path)
    assert state(path)[1] == 3


def test_any_text_of_a_model_is_kept_as_text(tmp_path: Path) -> None:
    outcome = Outcome(Verdict.ANSWERED, "", None, answer("\ud800 \u2028\n é").content)
    with Ledger(tmp_path / "l") as ledger:
        ledger.sent("a", "s1", WORST)
        ledger.settle("a", outcome, WORST)
    assert state(tmp_path / "l")[0] == {"a": "\ufffd \u2028\n é"}
