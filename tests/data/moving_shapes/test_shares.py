"""Shares of kinds: read from a command line, refused in one sentence, drawn as often as they say."""

import random
from dataclasses import fields

import pytest

from tvg_lightning.data.moving_shapes.queries import KINDS
from tvg_lightning.data.moving_shapes.shares import PLAIN, KindShares, read_shares


def test_there_is_a_share_for_every_kind() -> None:
    assert tuple(field.name for field in fields(KindShares)) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_all_of_that_kind(kind: str) -> None:
    shares = read_shares(kind)
    assert shares == KindShares(**{kind: 1.0})
    assert {shares.draw(random.Random(seed)) for seed in range(50)} == {kind}


def test_shares_by_hand() -> None:
    assert read_shares('{"plain": 1}') == read_shares("plain") == PLAIN
    shares = read_shares(' {"plain": 3, "relation": 1, "long": 0} ')
    assert shares == KindShares(plain=3.0, relation=1.0)
    rng = random.Random(0)
    drawn = [shares.draw(rng) for _ in range(4000)]
    assert set(drawn) == {"plain", "relation"}
    assert drawn.count("plain") / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be one of plain, ordinal, relation, look_alike, every, absent, long, or their shares"),
        ("Plain", "not 'Plain'"),
        ("plain,long", "not 'plain,long'"),
        ("[1]", r"not '\[1\]'"),
        ("3", "not '3'"),
        ('{"plain": 1', "must be one of"),
        ("[" * 100_000, "must be one of"),
        ("{}", "at least one share must be above 0"),
        ('{"plain": 0}', "at least one share must be above 0"),
        ('{"plain": -1, "long": 2}', "the share of plain must be 0 or more, not -1.0"),
        ('{"long": NaN}', "the share of long must be 0 or more, not nan"),
        ('{"long": Infinity}', "the share of long must be 0 or more, not inf"),
        ('{"long": "1"}', "the share of long must be a number, not '1'"),
        ('{"long": true}', "the share of long must be a number, not True"),
        ('{"hard": 1}', "'hard' is no kind; there are plain, ordinal"),
    ],
)
def test_bad_shares_are_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^render: --kinds.*{said}") as refusal:
        read_shares(text)
    assert "\n" not in str(refusal.value)
