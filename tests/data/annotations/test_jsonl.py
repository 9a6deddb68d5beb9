import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import Sample, Span

GOOD = {"video": "a.mp4", "query": "the door opens", "windows": [[3.5, 7]], "duration": 31}


def save(folder: Path, *records: Any) -> Path:
    path = folder / "own.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_forms_of_a_line(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        GOOD,
        "",
        {**GOOD, "id": "x", "windows": [[1, 2], [5, 6.5]], "cut": [10, 41]},
        {"video": "b.mp4", "query": "q", "start": 0, "end": 2.5, "duration": 3},
        {**GOOD, "windows": []},
        {**GOOD, "kind": "look-alike_2"},
    )
    samples = jsonl.read(path).samples
    assert samples == (
        Sample("own:1", "a.mp4", 31.0, "the door opens", (Span(3.5, 7.0),)),
        Sample("x", "a.mp4", 31.0, "the door opens", (Span(1.0, 2.0), Span(5.0, 6.5)), Span(10.0, 41.0)),
        Sample("own:4", "b.mp4", 3.0, "q", (Span(0.0, 2.5),)),
        Sample("own:5", "a.mp4", 31.0, "the door opens", ()),
        Sample("own:6", "a.mp4", 31.0, "the door opens", (Span(3.5, 7.0),), kind="look-alike_2"),
    )


def test_the_report_has_every_change(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        {**GOOD, "query": " the  door\nopens "},
        {**GOOD, "windows": [[30, 31.5]]},
        {**GOOD, "windows": [[7, 3]]},
        {**GOOD, "windows": [[40, 50]]},
        {**GOOD, "speaker": "me", "lang": "en"},
        GOOD,
    )
    samples, report = jsonl.read(path).samples, jsonl.read(path).report
    assert report.num_read == len(samples) == 4
    assert report.fixed == ((1, "blanks in the query"), (5, "keys not used: lang, speaker"))
    assert report.clipped == ((2, "(30.0, 31.5) cut to (30.0, 31.0)"),)
    assert report.refused == ((3, "window is reversed"), (4, "window begins after the video's end"))
    assert samples[0].query == "the door opens" and samples[1].windows == (Span(30.0, 31.0),)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{not json", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ({**GOOD, "duration": "31"}, "duration must be a number"),
        ({**GOOD, "duration": True}, "duration must be a number"),
        ({**GOOD, "duration": 0}, "duration must be a positive"),
        ({**GOOD, "duration": float("nan")}, "duration must be a positive"),
        ({k: v for k, v in GOOD.items() if k != "duration"}, "duration must be a number"),
        ({k: v for k, v in GOOD.items() if k != "windows"}, "windows is missing"),
        ({k: v for k, v in GOOD.items() if k != "query"}, "query must be a text"),
        ({**GOOD, "query": "  "}, "query must be a text"),
        ({**GOOD, "video": 7}, "video must be a text"),
        ({**GOOD, "id": ""}, "id must be a text"),
        ({**GOOD, "start": 1}, "keep one of them"),
        ({**GOOD, "windows": [3, 7]}, "windows must hold"),
        ({**GOOD, "windows": "3-7"}, "windows must be a list"),
        ({**GOOD, "windows": [[3, "7"]]}, "windows must hold"),
        ({**GOOD, "cut": [5, 5]}, "cut must be"),
        ({**GOOD, "kind": ""}, "kind must be a text of letters"),
        ({**GOOD, "kind": "two words"}, "kind must be a text of letters"),
        ({**GOOD, "kind": "word\n"}, "kind must be a text of letters"),
        ({**GOOD, "kind": 3}, "kind must be a text of letters"),
        ({**GOOD, "kind": None}, "kind must be a text of letters"),
        ({**GOOD, "weight": -0.5}, "weight must be a number of 0 or more"),
        ({**GOOD, "weight": "1"}, "weight must be a number of 0 or more"),
        ({**GOOD, "weight": None}, "weight must be a number of 0 or more"),
    ],
)
def test_a_broken_line_names_file_and_line(record: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"own\.jsonl:2: .*{message}"):
        jsonl.read(save(tmp_path, GOOD, record))


def test_one_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"own\.jsonl:3: id 'a' is already that of 1"):
        jsonl.read(save(tmp_path, {**GOOD, "id": "a"}, GOOD, {**GOOD, "id": "a"}))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        jsonl.read(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"query": "caf\xe9"}')
    with pytest.raises(ValueError, match=r"latin\.jsonl: not UTF-8 text \(byte 14\)"):
        jsonl.read(tmp_path / "latin.jsonl")
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
    assert len(jsonl.read(tmp_path / "marked.jsonl").samples) == 1


words = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    .map(lambda t: " ".join(t.split()))
    .filter(bool)
)
seconds = st.floats(0.01, 1e5)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    duration_s = draw(seconds)
    cuts = sorted(set(draw(st.lists(st.floats(0.0, 1.0), max_size=6))))
    windows = [Span(a * duration_s, b * duration_s) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    usable = tuple(w for w in windows if w.start_s < w.end_s and w.start_s < duration_s)
    cut = draw(st.none() | st.builds(lambda a, n: Span(a, a + n), seconds, seconds))
    kind = draw(st.just("") | st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True))
    weight = draw(st.just(1.0) | st.floats(0.0, 1e9))
    return Sample(draw(words), draw(words), duration_s, draw(words), usable, cut, kind, weight=weight)


@given(written=st.lists(samples(), unique_by=lambda sample: sample.sample_id))
def test_what_is_written_is_read_back(written: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "new" / "out.jsonl"
    jsonl.write(path, written)
    result = jsonl.read(path, videos_outside=True)  # any name
    assert result.samples == tuple(written)
    assert not (result.report.fixed or result.report.clipped or result.report.refused)


def test_what_is_written_can_be_read_by_people(tmp_path: Path) -> None:
    sample = Sample("1", "a.mp4", 3.0, "Café öffnet", (Span(0.5, 2.0),))
    jsonl.write(tmp_path / "a.jsonl", [sample, replace(sample, sample_id="2", kind="every")])
    line = '{"id": "1", "video": "a.mp4", "query": "Café öffnet", "windows": [[0.5, 2.0]], "duration": 3.0}\n'
    with_kind = line.replace('"1"', '"2"').replace("3.0}", '3.0, "kind": "every"}')
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == line + with_kind


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    before = path.read_bytes()

    def broken() -> Any:
        yield jsonl.read(path).samples[0]
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        jsonl.write(path, broken())
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_json_list_and_whole_numbers_as_ids(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps([{**GOOD, "id": 7}, {k: v for k, v in GOOD.items() if k != "id"}], indent=1))
    assert [sample.sample_id for sample in jsonl.read(path).samples] == ["7", "own:1"]
    path.write_text(json.dumps([GOOD, {**GOOD, "id": 7.5}], indent=1))
    with pytest.raises(ValueError, match=r"own\.json:item 1: id must be a text"):
        jsonl.read(path)


def test_a_name_of_a_file_that_is_no_text_makes_ids_that_are(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.jsonl"  # Latin-1
    path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != "id"}))
    assert [sample.sample_id for sample in jsonl.read(path).samples] == ["caf�:1"]


def test_keys_that_are_no_text_are_noted_as_text(tmp_path: Path) -> None:
    assert jsonl.read(save(tmp_path, {**GOOD, "\ud83d": 1})).report.fixed == ((1, "keys not used: �"),)


def test_lines_of_a_published_form_are_told_their_reader(tmp_path: Path) -> None:
    given = {"qid": 1, "query": "q", "vid": "v", "duration": 3, "relevant_windows": [[0, 1]]}
    with pytest.raises(ValueError, match=r":1: another form: video missing.* read by --benchmark qvhighlights"):
        jsonl.read(save(tmp_path, given))


@pytest.mark.parametrize(("name", "ids"), [("own_list.json", ["s0", "s1"]), ("own_int_id.jsonl", ["7"])])
def test_our_own_form_as_people_wrote_it(name: str, ids: list[str], shared: Path) -> None:
    assert [sample.sample_id for sample in jsonl.read(shared / "faults" / name).samples] == ids


def test_half_an_emoji_in_a_file(shared: Path, tmp_path: Path) -> None:
    result = jsonl.read(shared / "faults" / "surrogate_query_own.jsonl")
    assert [location for location, _ in result.report.fixed] == [1]
    jsonl.write(tmp_path / "out.jsonl", result.samples)
    assert jsonl.read(tmp_path / "out.jsonl").samples == result.samples
