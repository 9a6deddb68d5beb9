"""Tallies by hand: counts, shares, the commonest cases, and the first two completions that show them."""

from collections.abc import Sequence
from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.diagnosis.findings import EXAMPLE_CHARS, Judged, Tally, example_of, one_line
from tvg_lightning.traces import Trace


def by_text(group: Sequence[Trace]) -> Judged:
    """Its text is the case; "" is fine, "?" cannot be judged."""
    return ((trace, trace.text or None) for trace in group if trace.text != "?")


def group(*texts: str) -> list[Trace]:
    return [replace(GOOD_TRACE, text=text, rollout=number) for number, text in enumerate(texts)]


def test_counts_and_shares() -> None:
    tally = Tally(by_text, window=3)
    assert (tally.share, tally.recent_share) == (0.0, 0.0)
    tally.add(group("a", "b", "a", "", "?"))
    tally.add(group("c", "", ""))
    assert (tally.num, tally.num_judged, tally.share) == (4, 7, 4 / 7)
    assert (tally.num_recent, tally.recent_share) == (3, 1 / 3)
    assert tally.commonest() == "a (2), b (1), c (1)" and tally.commonest(1) == "a (2), others (2)"


def test_examples_are_the_first_of_the_commonest_cases() -> None:
    tally = Tally(by_text, window=3)
    tally.add(group("rare", "a", "b", "a", "b", "a"))
    assert [(trace.rollout, case) for trace, case in tally.examples()] == [(1, "a"), (2, "b")]
    alone = Tally(by_text, window=3)
    alone.add(group("a", "a", "a"))
    assert [trace.rollout for trace, _ in alone.examples()] == [0, 1]


def test_an_example_shows_the_end_or_the_start_of_its_text_on_one_line() -> None:
    trace = replace(GOOD_TRACE, text="first\n\n" + "x" * 1000 + "\tlast", step=7)
    end, start = example_of(trace), example_of(trace, shows_start=True)
    assert (end.sample_id, end.step) == ("s1", 7)
    assert end.text.startswith("… ") and end.text.endswith("x last") and len(end.text) == EXAMPLE_CHARS + 2
    assert start.text.startswith("first xxx") and start.text.endswith(" …")
    assert one_line("a \n b", 20, shows_start=False) == "a b"
