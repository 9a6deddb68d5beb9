import json
from pathlib import Path

import pytest

from tvg_lightning.data.annotations import charades_sta
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.data.annotations.report import ReadResult
from tvg_lightning.schema import Sample, Span

LENGTHS = 'id,script,length\nAAAAA,"walks, then ""sits""\nand stands",30.96\nBBBBB,,6.25\n'


def save(folder: Path, annotations: str, lengths: str = LENGTHS) -> tuple[Path, Path]:
    (folder / "sta.txt").write_text(annotations)
    (folder / "lengths.csv").write_text(lengths)
    return folder / "sta.txt", folder / "lengths.csv"


def read(annotations: Path, lengths: Path) -> ReadResult:
    return clean(annotations, charades_sta.records(annotations, lengths))


def test_lines_by_hand(tmp_path: Path) -> None:
    result = read(
        *save(
            tmp_path,
            "AAAAA 24.3 30.4##person turn a light on.\n"
            "AAAAA 24.3 31.5##a person  sits.\n"
            "BBBBB 8.0 7.0##a person stands.\n"
            "CCCCC 0.0 1.0##a person runs.\n"
            "BBBBB 0.0 6.25##a person laughs.\n",
        )
    )
    assert result.samples == (
        Sample("sta:1", "AAAAA.mp4", 30.96, "person turn a light on.", (Span(24.3, 30.4),)),
        Sample("sta:2", "AAAAA.mp4", 30.96, "a person sits.", (Span(24.3, 30.96),)),
        Sample("sta:5", "BBBBB.mp4", 6.25, "a person laughs.", (Span(0.0, 6.25),)),
    )
    report = result.report
    assert report.clipped == ((2, "(24.3, 31.5) cut to (24.3, 30.96)"),)
    assert report.fixed == ((2, "blanks in the query"),)
    assert report.refused == ((3, "window is reversed"), (4, "video has no length"))


def test_the_lengths_are_found_beside_the_lines(tmp_path: Path) -> None:
    annotations = tmp_path / "charades_sta_test.txt"
    annotations.write_text("AAAAA 24.3 30.4##person turn a light on.\n")
    (blind,) = charades_sta.records(annotations)
    assert blind.duration_s is None, "enough to score against, not to make a sample of"
    (tmp_path / "Charades_v1_test.csv").write_text(LENGTHS)
    (record,) = charades_sta.records(annotations)
    assert record.duration_s == 30.96 and record.sample_id == "charades_sta_test:1"


def test_the_json_form_has_its_own_durations(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    video = {"duration": 6.25, "timestamps": [[0, 7], [8, 7]], "sentences": ["a person sits.", "a person runs."]}
    path.write_text(json.dumps({"BBBBB": {**video, "verb": ["sits", "runs"], "action": 0}}))
    result = clean(path, charades_sta.records(path))
    assert result.samples == (Sample("BBBBB_0", "BBBBB.mp4", 6.25, "a person sits.", (Span(0.0, 6.25),)),)
    assert result.report.refused == (("BBBBB_1", "window is reversed"),)
    with pytest.raises(ValueError, match="this form has its durations in it"):
        charades_sta.records(path, tmp_path / "lengths.csv")


@pytest.mark.parametrize(
    "line",
    ["AAAAA 1.0 2.0 a person sits.", "AAAAA 1.0##a person sits.", "AAAAA 1.0 2.0##", "AAAAA one 2.0##a"],
)
def test_a_broken_line_names_file_and_line(line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sta\.txt:2: "):
        read(*save(tmp_path, f"AAAAA 0.0 1.0##a person sits.\n{line}\n"))


def test_broken_lengths_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lengths\.csv:1: the columns id and length"):
        read(*save(tmp_path, "", "id,seconds\nA,1\n"))
    for length in ("", "long", "-1", "nan"):
        with pytest.raises(ValueError, match=r"lengths\.csv:3: length"):
            read(*save(tmp_path, "", f"id,length\nA,1\nB,{length}\n"))
    with pytest.raises(ValueError, match="no such file"):
        read(tmp_path / "sta.txt", tmp_path / "absent.csv")


def test_the_original_test_split(shared: Path) -> None:
    folder = shared / "data" / "annotations" / "charades_sta__microsoft_VideoX"
    result = read(folder / "charades_sta_test.txt", folder / "Charades_v1_test.csv")
    assert result.report.num_read == 3720 and result.report.num_clipped == 562 and not result.report.refused
    assert len({sample.video for sample in result.samples}) == 1334
    assert result.samples[0] == Sample(
        "charades_sta_test:1", "3MSZA.mp4", 30.96, "person turn a light on.", (Span(24.3, 30.4),)
    )
    assert all(0 <= w.start_s < w.end_s <= s.duration_s for s in result.samples for w in s.windows)


def test_the_original_training_split_clips_and_refuses_by_hand_made_lengths(shared: Path, tmp_path: Path) -> None:
    """The lengths of the training videos are not at hand, but those of the four reversed windows are known."""
    folder = shared / "data" / "annotations" / "charades_sta__microsoft_VideoX"
    lines = (folder / "charades_sta_train.txt").read_text().splitlines()
    lengths = {"LEOL6": 6.25, "AKKWU": 12.17}
    videos = sorted({line.split()[0] for line in lines})
    (tmp_path / "l.csv").write_text("id,length\n" + "".join(f"{v},{lengths.get(v, 500.0)}\n" for v in videos))
    result = read(folder / "charades_sta_train.txt", tmp_path / "l.csv")
    assert len(lines) == 12408 == result.report.num_read + 4 and len(videos) == 5338
    assert [why for _, why in result.report.refused] == ["window is reversed"] * 4


def test_the_json_of_invert4tvg_has_the_layout(shared: Path) -> None:
    path = shared / "data" / "annotations" / "invert4tvg_verbs" / "val_vs.json"
    (first, *_) = charades_sta.records(path)
    assert first.sample_id == "3MSZA_0" and first.duration_s == 30.96 and first.windows == (Span(24.3, 30.4),)


TVR = (
    '{"qid": 0, "query": "person opens a door.", "duration": 30.96, "vid": "3MSZA", "relevant_windows": [[24.3, 30.4]]}'
)


@pytest.mark.parametrize("content", [TVR + "\n", f"[{TVR}]"])
def test_the_layout_of_moment_detr(content: str, tmp_path: Path) -> None:
    path = tmp_path / "charades_sta_test_tvr_format.jsonl"
    path.write_text(content)
    (record,) = charades_sta.records(path)
    assert (record.sample_id, record.video, record.duration_s) == ("0", "3MSZA.mp4", 30.96)
    assert record.windows == (Span(24.3, 30.4),)
    with pytest.raises(ValueError, match="leave the companion out"):
        charades_sta.records(path, tmp_path / "lengths.csv")


def test_the_layout_of_moment_detr_as_published(shared: Path) -> None:
    records = list(charades_sta.records(shared / "faults" / "charades_sta_test_tvr_format.jsonl"))
    assert [(r.sample_id, r.query) for r in records] == [("0", "person opens a door."), ("1", "person opens a door.")]
