"""Two runs on the same queries: means by hand, intervals that cover what they should, and what cannot be compared."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.tools.compare import Answered, differences, main, read_ious


def save(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def line(qid: str, iou: float | None, video: str = "a.mp4", **more: str) -> dict[str, Any]:
    return {"qid": qid, "video": video, "iou": iou, **more}


def test_means_and_differences_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {"a": "plain", "b": "plain", "c": "relation"}
    ious = ({"a": 0.0, "b": 0.5, "c": 1.0}, {"c": 1.0, "b": 1.0, "a": 0.5})
    first, second = (
        save(tmp_path / f"{run}.jsonl", *(line(q, iou, f"{q}.mp4", kind=kinds[q]) for q, iou in answers.items()))
        for run, answers in enumerate(ious)
    )
    main(first, second)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["queries", "first", "second", "difference", "95", "%", "interval"]
    assert rows[0].split() == ["all", "3", "0.5000", "0.8333", "+0.3333", "+0.0000", "to", "+0.5000"]
    assert rows[1].split() == ["plain", "2", "0.2500", "0.7500", "+0.5000", "+0.5000", "to", "+0.5000"]
    assert rows[2].split() == ["relation", "1", "1.0000", "1.0000", "+0.0000", "none,", "for", "one", "video"]
    main(first, second, json=True)
    found = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in found] == ["all", "plain", "relation"]
    assert [(one["low"], one["high"]) for one in found[1:]] == [(0.5, 0.5), (None, None)]


def test_queries_about_one_video_have_no_interval() -> None:
    first = {query: Answered("a.mp4", "", 0.25) for query in "xyz"}
    second = {query: Answered("a.mp4", "", 0.75) for query in "xyz"}
    (found,) = differences(first, second)
    assert (found.num_queries, found.difference, found.low, found.high) == (3, 0.5, None, None)


def test_runs_of_several_seeds_are_averaged_query_by_query(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        save(tmp_path / f"{run}.jsonl", line("a", a, "a.mp4"), line("b", b, "b.mp4"))
        for run, (a, b) in enumerate([(0.0, 1.0), (0.5, 0.0), (1.0, 1.0)])
    ]
    main(runs[:2], runs[2])
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["all", "2", "0.3750", "1.0000", "+0.6250", "+0.5000", "to", "+0.7500"]
    with pytest.raises(ValueError, match="no run is given"):
        main([], runs[0])
    other = save(tmp_path / "other.jsonl", line("a", 1.0), line("c", 1.0))
    with pytest.raises(ValueError, match="2 queries are answered by one run only, such as 'b'"):
        main([runs[0], other], runs[0])


def test_the_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    """Queries of a video share what is drawn for it; 95 % of 300 intervals, give or take 3 %."""
    covered = 0
    for seed in range(300):
        dice = random.Random(seed)
        first, second = {}, {}
        for number in range(240):
            video = f"{number // 3}"
            shared = random.Random(f"{seed} {video}").gauss(0.0, 0.1)
            first[str(number)] = Answered(video, "", 0.5)
            second[str(number)] = Answered(video, "", 0.5 + 0.05 + shared + dice.gauss(0.0, 0.1))
        (found,) = differences(first, second)
        covered += found.low <= 0.05 <= found.high
    assert covered / 300 == pytest.approx(0.95, abs=0.03)


def test_a_folder_is_all_its_files_and_answers_without_truth_are_left_out(tmp_path: Path) -> None:
    save(tmp_path / "predictions-rank0.jsonl", line("a", 0.5), line("b", None))
    save(tmp_path / "predictions-rank1.jsonl", line("c", 1.0))
    assert read_ious(tmp_path) == {"a": Answered("a.mp4", "", 0.5), "c": Answered("a.mp4", "", 1.0)}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"qid": "a", "pred": [1, 2]}], r"1\.jsonl:1: not a line that predict wrote"),
        ([line("a", 0.5), line("a", 0.5)], r"1\.jsonl:2: 'a' is answered twice"),
        ([line("a", None)], "no answer has an IoU"),
        ([line("a", 0.5), line("b", 0.5)], "1 queries are answered by one run only, such as 'b'"),
    ],
)
def test_what_cannot_be_compared_is_said(lines: list[dict[str, Any]], words: str, tmp_path: Path) -> None:
    first, second = save(tmp_path / "1.jsonl", *lines), save(tmp_path / "2.jsonl", line("a", 0.5))
    with pytest.raises(ValueError, match=words):
        main(first, second)
