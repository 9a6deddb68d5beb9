"""Names from files that others wrote, and where they lead once they are joined to the user's folder."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.data.annotations import benchmarks, jsonl
from tvg_lightning.data.annotations.benchmarks import BenchmarkName
from tvg_lightning.data.annotations.records import Record, clean
from tvg_lightning.data.annotations.video_names import must_be_inside
from tvg_lightning.schema import Span

PASSWD = "../../etc/passwd.mp4"


@pytest.mark.parametrize(
    "name",
    ["a.mp4", "part 1/a.mp4", "./a.mp4", "..a.mp4", "a..mp4", "a/...", "a_00:00:39:000.mp4", "~/a.mp4", "file:/a.mp4"],
)
def test_names_within(name: str) -> None:
    must_be_inside(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (PASSWD, '".."'),
        ("..", '".."'),
        ("a/../b.mp4", '".."'),  # where a is a link, that is beside its target
        ("a/../../b.mp4", '".."'),
        ("./..//a.mp4", '".."'),
        ("/etc/passwd.mp4", "absolute"),
        ("//etc/passwd.mp4", "absolute"),
    ],
)
def test_names_that_lead_out(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"the video '{re.escape(name)}' .*{re.escape(words)}"):
        must_be_inside(name)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.mp4", " ", "..b", "/"]), min_size=1, max_size=8).map("/".join))
def test_a_name_that_passes_stays_within_and_one_that_stays_without_dots_passes(name: str) -> None:
    joined = os.path.normpath(os.path.join("/data/videos", name))
    is_inside = joined == "/data/videos" or joined.startswith("/data/videos/")
    try:
        must_be_inside(name)
    except ValueError:
        assert not is_inside or ".." in name.split("/") or name.startswith("/")
    else:
        assert is_inside


def test_why_dots_are_refused_even_where_their_letters_stay_inside(tmp_path: Path) -> None:
    """videos/store is a link to deep/store: what it holds is given, and "store/.." would be deep."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "deep" / "store").mkdir(parents=True)
    (tmp_path / "deep" / "store" / "a.mp4").touch()
    (tmp_path / "deep" / "secret.mp4").touch()
    (tmp_path / "videos" / "store").symlink_to(tmp_path / "deep" / "store")
    must_be_inside("store/a.mp4")
    assert (tmp_path / "videos" / "store" / "a.mp4").is_file()
    assert (tmp_path / "videos" / "store" / ".." / "secret.mp4").is_file()  # the system does not go by letters
    with pytest.raises(ValueError, match="leads out"):
        must_be_inside("store/../secret.mp4")


def record(video: str, **changes: object) -> Record:
    given: dict[str, object] = {"duration_s": 9.0, "query": "a goat", "windows": (Span(1.0, 2.0),)}
    return Record(7, "g", video, **{**given, **changes})  # type: ignore[arg-type]


def test_the_error_names_file_line_and_setting() -> None:
    with pytest.raises(ValueError, match=r"^goats\.txt:7: the video '\.\./\.\./etc/passwd\.mp4' .*videos_outside"):
        clean(Path("goats.txt"), [record(PASSWD)])
    with pytest.raises(ValueError, match=r"goats\.txt:7: the video '/g\.mp4'"):  # even of a record refused anyway
        clean(Path("goats.txt"), [record("/g.mp4", duration_s=None)])


@pytest.mark.parametrize("name", [PASSWD, "/etc/passwd.mp4"])
def test_the_setting_allows_it(name: str) -> None:
    (sample,) = clean(Path("goats.txt"), [record(name)], videos_outside=True).samples
    assert sample.video == name


FORMS: list[tuple[BenchmarkName, str]] = [
    ("jsonl", '{"video": "NAME", "query": "q", "windows": [[1, 2]], "duration": 9}'),
    ("activitynet_captions", '{"NAME": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["q"]}}'),
    ("qvhighlights", '{"qid": 1, "query": "q", "vid": "NAME", "duration": 9, "relevant_windows": [[1, 2]]}'),
    ("rextime", '{"qid": "1", "query": "q", "duration": 9, "vid": "NAME", "relevant_windows": [[1, 2]], "ans": "A"}'),
    ("tvgbench", '[{"path": "NAME", "question": "q", "answer": "1-2", "start": null, "end": null, "duration": 9}]'),
    ("time_r1", '[{"video": "NAME", "duration": 9, "timestamp": [1, 2], "sentence": "q", "qid": "1"}]'),
    ("tvg_r1", '[{"video": "NAME", "duration": 9, "span": [1, 2], "query": "q"}]'),
    ("tacos", '{"NAME": {"timestamps": [[1, 2]], "sentences": ["q"], "fps": 1, "num_frames": 9}}'),
    ("didemo", '[{"num_segments": 2, "description": "q", "times": [[1, 1]], "video": "NAME", "annotation_id": 1}]'),
    ("nextgqa", '[{"id": "1", "video": "NAME", "question": "q", "duration": 9, "glue": [[1, 2]]}]'),
    ("charades_sta", '{"NAME": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["q"]}}'),
    ("timelens_bench", '{"NAME": {"duration": 9, "spans": [[1, 2]], "queries": ["q"]}}'),
    ("timelens_100k", '{"video_path": "NAME", "duration": 9, "events": [{"query": "q", "span": [[1, 2]]}]}'),
    ("timelens2_93k", '{"video_path": "NAME", "duration": 9, "query": "q", "span": [[1, 2]]}'),
    (
        "xtuner",
        '{"id": 0, "messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "NAME", '
        '"origin_video_length": 9, "origin_fps": 1}}, {"type": "text", "text": "q"}]}, '
        '{"role": "assistant", "content": "[[1, 2]]"}]}',
    ),
    (
        "taro",
        '{"qid": 1, "query": "q", "duration": 9, "vid": "v", "relevant_windows": [[1, 2]], "video_file": "NAME"}',
    ),
    ("museg", '{"idx": 0, "problem": "q", "solution": [[1, 2]], "video": "NAME", "duration": 9}'),
    ("omtg", "video\tquestion\tanswer\tduration\nNAME\tq\t1 to 2 s\t9"),
]
ONLY_BASE_NAMES = {"ra_rft"}  # of whatever path is written there


@pytest.mark.parametrize(("benchmark", "content"), FORMS)
def test_no_form_lets_it_pass(benchmark: BenchmarkName, content: str, tmp_path: Path) -> None:
    assert {name for name, _ in FORMS} == set(benchmarks.BENCHMARKS) - ONLY_BASE_NAMES
    file = tmp_path / "data.json"
    file.write_text(content.replace("NAME", PASSWD), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"data\.json:[^:]+: the video '{re.escape(PASSWD)}"):
        benchmarks.read(benchmark, file)
    (sample,) = benchmarks.read(benchmark, file, videos_outside=True).samples
    assert sample.video == PASSWD
    file.write_text(content.replace("NAME", "a.mp4"), encoding="utf-8")
    assert len(benchmarks.read(benchmark, file).samples) == 1


@pytest.mark.parametrize("name", [PASSWD, "/etc/passwd.mp4", "a/passwd.mp4", "/etc/passwd"])
def test_of_a_path_on_the_authors_disk_the_last_part_is_taken(name: str, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    item = f'{{"video": "{name}", "timestamp": [1, 2], "duration": 9, "GRPO": [{{"q": "q", "a": "1", "r": true}}]}}'
    file.write_text(f"[{item}]", encoding="utf-8")
    result = benchmarks.read("ra_rft", file)
    assert result.samples[0].video == "passwd.mp4" and result.report.num_fixed == (name != "a/passwd.mp4")


def test_our_own_form_is_judged_too(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('\n{"video": "/a.mp4", "query": "q", "windows": [], "duration": 9}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.jsonl:2: the video '/a\.mp4' is an absolute path"):
        jsonl.read(file)
    assert jsonl.read(file, videos_outside=True).samples[0].video == "/a.mp4"
