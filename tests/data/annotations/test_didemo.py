import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.data.annotations import didemo
from tvg_lightning.data.annotations.didemo import consensus
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

GOOD: dict[str, Any] = {
    "num_segments": 6,
    "description": "a goat eats",
    "times": [[1, 1], [1, 1], [1, 1]],
    "video": "1@N0_goat.mov",
    "annotation_id": 49,
}


def save(folder: Path, *items: Any) -> Path:
    path = folder / "val.json"
    path.write_text(json.dumps(items))
    return path


def test_segments_are_inclusive_and_five_seconds_long(tmp_path: Path) -> None:
    disputed = {**GOOD, "annotation_id": 50, "times": [[0, 0], [1, 2], [1, 2], [5, 5]], "num_segments": 5}
    path = save(tmp_path, GOOD, disputed, {**GOOD, "annotation_id": 51, "times": [[6, 6]]})
    result = clean(path, didemo.records(path))
    assert result.samples == (
        Sample("49", "1@N0_goat.mov", 30.0, "a goat eats", (Span(5.0, 10.0),)),
        Sample("50", "1@N0_goat.mov", 25.0, "a goat eats", (Span(5.0, 15.0),)),
    )
    assert result.report.fixed == (("item 1", "annotators disagree: the consensus is taken"),)
    assert result.report.refused == (("item 2", "window begins after the video's end"),)


def test_consensus_by_hand() -> None:
    a, b, c = Span(0, 5), Span(5, 10), Span(5, 15)
    assert consensus([a, b, b]) == b
    assert consensus([a, b, c]) == b  # overlaps: a 1, b 1 + 5/10, c 1 + 5/10; b ends first
    assert consensus([a, a, b, b, c]) == b  # 2 each, but b is half of c
    assert consensus([b, a]) == a  # a tie in everything: the earlier
    long, short = (
        Span(0, 3),
        Span(1, 2),
    )  # 2 each, both overlap 2 + 2/3; summed one by one, rounding would tell them apart
    assert consensus([long, long, short, short]) == consensus([short, short, long, long]) == long


@given(st.lists(st.builds(lambda a, n: Span(a, a + n), st.integers(0, 5), st.integers(1, 3)), min_size=1))
def test_the_consensus_is_the_choice_of_most_in_any_order(chosen: list[Span]) -> None:
    found = consensus(chosen)
    assert chosen.count(found) == max(chosen.count(window) for window in chosen)
    assert consensus(sorted(chosen, reverse=True)) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [({"times": []}, "times must be a list"), ({"times": [[1]]}, "times must hold"), ({"annotation_id": ""}, "annot")],
)
def test_a_broken_item_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"val\.json:item 1: {message}"):
        list(didemo.records(save(tmp_path, GOOD, {**GOOD, **change})))


def test_the_original_validation_split(shared: Path) -> None:
    path = shared / "data" / "annotations" / "didemo__LisaAnne_LocalizingMoments" / "val_data.json"
    result = clean(path, didemo.records(path))
    assert result.report.num_read == 4180 and not (result.report.refused or result.report.clipped)
    assert sum("annotators" in why for _, why in result.report.fixed) == 2753
    assert {sample.duration_s for sample in result.samples} == {25.0, 30.0}
    assert result.samples[0].windows == (Span(5.0, 10.0),) and result.samples[0].sample_id == "49152"
