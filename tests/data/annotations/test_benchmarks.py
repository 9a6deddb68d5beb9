import json
from pathlib import Path

import pytest

from tvg_lightning.data.annotations import benchmarks
from tvg_lightning.data.annotations.benchmarks import BENCHMARKS, BenchmarkName
from tvg_lightning.schema import Span

LINES = {
    "jsonl": {"video": "g.mp4", "query": "a goat", "windows": [[1, 2]], "duration": 9},
    "activitynet_captions": {"v_g": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["a goat"]}},
    "charades_sta": {"GGGGG": {"duration": 9, "timestamps": [[1, 2]], "sentences": ["a goat"]}},
    "qvhighlights": {"qid": 1, "query": "a goat", "vid": "g", "duration": 9, "relevant_windows": [[1, 2]]},
    "rextime": {"qid": "g1", "question": "a goat", "vid": "g", "duration": 9, "span": [1, 2], "ans": "A"},
    "nextgqa": [{"id": "1_1", "video": "1/1.mp4", "question": "a goat", "duration": 9, "glue": [[1, 2]]}],
    "tvgbench": [{"path": "g.mp4", "question": "a goat", "answer": "1-2", "start": None, "end": None, "duration": 9}],
    "tacos": {"g.avi": {"timestamps": [[2, 4]], "sentences": ["a goat"], "fps": 2, "num_frames": 18}},
    "didemo": [{"num_segments": 5, "description": "a goat", "times": [[1, 1]], "video": "g.mov", "annotation_id": 1}],
    "time_r1": [{"video": "g", "duration": 9, "timestamp": [1, 2], "sentence": "a goat", "qid": "g"}],
    "tvg_r1": [{"video": "g", "duration": 9, "span": [1, 2], "query": "a goat"}],
    "timelens_bench": {"g": {"duration": 9, "spans": [[1, 2]], "queries": ["a goat"]}},
    "timelens_100k": {"video_path": "g.mp4", "duration": 9, "events": [{"query": "a goat", "span": [[1, 2]]}]},
    "timelens2_93k": {"video_path": "g.mp4", "duration": 9, "query": "a goat", "span": [[1, 2]], "rollouts": ["[]"]},
    "xtuner": {"id": 0, "messages": [
        {"role": "user", "content": [
            {"type": "video_url", "video_url": {"url": "g.mp4", "origin_video_length": 270, "origin_fps": 30}},
            {"type": "text", "text": "<VIDEO_CONTEXT>\na goat"}]},
        {"role": "assistant", "content": "From 1 to 2 seconds."}]},
    "taro": [{"prompt": [{"role": "user", "content": 'When does "a goat" occur?'}], "videos": ["g.mp4"],
              "reward_model": {"ground_truth": [1, 2]}, "extra_info": {"duration": 9}}],
    "museg": {"idx": 0, "problem": "Where is 'a goat'?", "solution": [[1, 2]], "video": "g.mp4", "duration": 9},
    "ra_rft": [{"video": "g.mp4", "timestamp": [1, 2], "duration": 9, "GRPO": [{"q": "a goat", "a": "1", "r": True}]}],
    "omtg": "video\tquestion\tanswer\tduration\ng.mp4\ta goat\t<time>1 - 2 seconds</time>\t9\n",
}  # fmt: skip


def save(folder: Path, benchmark: str) -> Path:
    path = folder / f"{benchmark}.json"
    content = LINES[benchmark]
    path.write_text(content if isinstance(content, str) else json.dumps(content) + "\n")
    return path


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_name_has_its_reader(benchmark: BenchmarkName, tmp_path: Path) -> None:
    (sample,) = benchmarks.read(benchmark, save(tmp_path, benchmark)).samples
    assert sample.query == "a goat"
    assert sample.windows == ((Span(5.0, 10.0),) if benchmark == "didemo" else (Span(1.0, 2.0),))


# Forms that hold all that another reader asks for; each gives the same truth.
SHARED_FORMS = {
    ("charades_sta", "qvhighlights"),
    ("activitynet_captions", "charades_sta"), ("charades_sta", "activitynet_captions"),
    ("activitynet_captions", "qvhighlights"), ("tacos", "qvhighlights"), ("rextime", "qvhighlights"),
    ("tvg_r1", "jsonl"), ("tvg_r1", "qvhighlights"), ("tvg_r1", "rextime"), ("tvg_r1", "time_r1"),
    ("tvg_r1", "timelens2_93k"), ("tvg_r1", "museg"), ("timelens2_93k", "timelens_100k"),
}  # fmt: skip


@pytest.mark.parametrize("given", BENCHMARKS)
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_file_of_another_data_set_is_one_clear_error(
    benchmark: BenchmarkName, given: BenchmarkName, tmp_path: Path
) -> None:
    path = save(tmp_path, given)
    if benchmark == given or (benchmark, given) in SHARED_FORMS:
        assert len(benchmarks.read(benchmark, path).samples) == 1
        return
    with pytest.raises(ValueError) as caught:
        benchmarks.read(benchmark, path)
    assert str(caught.value).startswith(f"{path}:") and "\n" not in str(caught.value)


DEEP = ["[" * 100_000, '{"a": ' * 100_000, "[" + "9" * 5000 + "]"]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[1]", "7", "null", "[[", '{"a"', "plain words\n", "[{}]", "\x00", *DEEP]
)
def test_files_of_nothing_known_never_crash(benchmark: BenchmarkName, content: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.json"
    path.write_text(content)
    try:
        result = benchmarks.read(benchmark, path)
    except ValueError as error:
        assert str(error).startswith(str(path))
    else:
        assert not result.samples


def test_a_companion_that_is_not_needed_is_refused(tmp_path: Path) -> None:
    for benchmark in BENCHMARKS:
        takes_lengths = benchmark in ("museg", "ra_rft", "omtg")
        with pytest.raises(ValueError, match="no such file" if takes_lengths else r"leave (the )?companion out"):
            benchmarks.records(benchmark, save(tmp_path, benchmark), tmp_path / "more.csv")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_half_an_emoji_in_a_query_is_fixed_by_every_reader(benchmark: BenchmarkName, tmp_path: Path) -> None:
    path = save(tmp_path, benchmark)
    in_json = r"a \ud83d goat"
    path.write_text(path.read_text().replace("a goat", "a \0 goat" if benchmark == "omtg" else in_json))
    result = benchmarks.read(benchmark, path)
    assert [sample.query for sample in result.samples] == ["a � goat"] and result.report.num_fixed == 1
    (record,) = benchmarks.records(benchmark, path)  # as score takes them
    assert record.query == "a � goat"


NAMES = {
    "charades_sta": "GGGGG",
    "timelens_bench": "g",
    "nextgqa": "1/1.mp4",
    "didemo": "g.mov",
    "activitynet_captions": "v_g",
}


@pytest.mark.parametrize("letters", [r"\ud83d", r"\u0000"])
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_name_that_is_no_text_is_refused_with_its_place(
    benchmark: BenchmarkName, letters: str, tmp_path: Path
) -> None:
    path = save(tmp_path, benchmark)
    name = NAMES.get(benchmark, "g.mp4" if "g.mp4" in path.read_text() else "g.avi" if benchmark == "tacos" else "g")
    content = path.read_text()
    replaced = content.replace(f'"{name}"', f'"{letters}{name}"')
    path.write_text(content.replace(name, f"\0{name}") if benchmark == "omtg" else replaced)
    with pytest.raises(ValueError, match=rf"^{path}:.*: the (id|video) .* holds what is no text"):
        benchmarks.read(benchmark, path)
