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
}


def save(folder: Path, benchmark: str) -> Path:
    path = folder / f"{benchmark}.json"
    path.write_text(json.dumps(LINES[benchmark]) + "\n")
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
        with pytest.raises(ValueError, match=r"leave (the )?companion out"):
            benchmarks.records(benchmark, save(tmp_path, benchmark), tmp_path / "more.csv")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_half_an_emoji_in_a_query_is_fixed_by_every_reader(benchmark: BenchmarkName, tmp_path: Path) -> None:
    path = save(tmp_path, benchmark)
    path.write_text(path.read_text().replace("a goat", r"a \ud83d goat"))
    result = benchmarks.read(benchmark, path)
    assert [sample.query for sample in result.samples] == ["a � goat"] and result.report.num_fixed == 1
    (record,) = benchmarks.records(benchmark, path)  # as score takes them
    assert record.query == "a � goat"


NAMES = {"charades_sta": "GGGGG", "nextgqa": "1/1.mp4", "didemo": "g.mov", "activitynet_captions": "v_g"}


@pytest.mark.parametrize("letters", [r"\ud83d", r"\u0000"])
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_name_that_is_no_text_is_refused_with_its_place(
    benchmark: BenchmarkName, letters: str, tmp_path: Path
) -> None:
    path = save(tmp_path, benchmark)
    name = NAMES.get(benchmark, "g.mp4" if "g.mp4" in path.read_text() else "g.avi" if benchmark == "tacos" else "g")
    path.write_text(path.read_text().replace(f'"{name}"', f'"{letters}{name}"'))
    with pytest.raises(ValueError, match=rf"^{path}:.*: the (id|video) .* holds what is no text"):
        benchmarks.read(benchmark, path)
