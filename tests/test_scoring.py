"""Whose answer it is, and the metrics: by hand, then whatever the order, then against what was published."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.data.annotations.benchmarks import records
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.predictions import Prediction, read_predictions
from tvg_lightning.schema import Answer, AnswerFormat, Method, Span
from tvg_lightning.scoring import assign, counts, match, metrics, score, set_metrics

TIME_R1 = AnswerFormat(Method.TIME_R1)


def record(sample_id: str, *windows: tuple[float, float], video: str = "a.mp4", query: str = "q") -> Record:
    return Record(sample_id, sample_id, video, 100.0, query, tuple(Span(*window) for window in windows) or None)


def answer(
    qid: str | None, span: tuple[float, float] | None, line: int = 1, video: str | None = None, query: str | None = None
) -> Prediction:
    answer = Answer(False, (Span(*span),) if span else None)
    return Prediction(Path("p.jsonl"), line, qid, video, query, answer, "pred")


def ids(truth: list[Record], predictions: list[Prediction]) -> dict[str, int | str]:
    """Record id to line of its answer."""
    return {truth[index].sample_id: p.location for index, p in match(truth, predictions).answers.items()}


FOUR = [
    record("exact", (10, 20)),
    record("half", (0, 10)),  # against (0, 20): IoU 0.5, no more
    record("second", (0, 10), (50, 60)),  # against (52, 60): 0.8 with the second window
    record("missing", (0, 10)),
]
THREE = [answer("half", (0, 20)), answer("exact", (10, 20)), answer("second", (52, 60))]


def test_four_queries_by_hand() -> None:
    scores = score(FOUR, match(FOUR, THREE).answers)
    assert [query.iou for query in scores] == [1.0, 0.5, 0.8, 0.0]
    assert [query.window for query in scores] == [Span(10, 20), Span(0, 10), Span(50, 60), None]
    assert metrics(scores) == pytest.approx({"R1@0.3": 75, "R1@0.5": 75, "R1@0.7": 50, "mIoU": 57.5})
    assert metrics(scores, strict=True)["R1@0.5"] == 50
    assert counts(scores) == {"num_queries": 4, "num_missing": 1, "num_unusable": 0}


def test_unusable_answers_stay_in_the_denominator() -> None:
    scores = score(FOUR[:2], match(FOUR[:2], [answer("exact", None), answer("half", (0, 10))]).answers)
    assert metrics(scores) == {"R1@0.3": 50, "R1@0.5": 50, "R1@0.7": 50, "mIoU": 50}
    assert counts(scores) == {"num_queries": 2, "num_missing": 0, "num_unusable": 1}


def test_windows_are_taken_as_published() -> None:
    truth = [record("over", (90, 110)), record("reversed", (8, 7)), record("empty", (5, 5))]  # the video has 100 s
    answers = [answer("over", (90, 110)), answer("reversed", (7, 8)), answer("empty", (4, 6))]
    assert [query.iou for query in score(truth, match(truth, answers).answers)] == [1.0, 0.0, 0.0]


def test_records_without_truth_are_not_scored() -> None:
    truth = [record("known", (0, 10)), record("hidden")]
    matched = match(truth, [answer("known", (0, 10)), answer("hidden", (0, 10))])
    assert not matched.unknown
    assert counts(score(truth, matched.answers))["num_queries"] == 1
    for hidden in ([record("hidden")], [record("hidden", (0, 0))]):
        with pytest.raises(ValueError, match="no true window"):
            score(hidden, {})


def test_an_answer_finds_its_record() -> None:
    truth = [
        record("2579", (0, 10), video="v_210.0_360.0.mp4", query="A man runs."),
        record("77_3", (0, 10), video="dir/77.mp4"),
        record("c:1", (0, 10), video="b.MP4", query="  the  door opens. "),
    ]
    for prediction, found in [
        (answer("2579", (0, 1)), "2579"),
        (answer("3", (0, 1), video="77"), "77_3"),
        (answer("3", (0, 1), video="videos/77.mkv"), "77_3"),
        (answer(None, (0, 1), video="v_210.0_360.0", query="a man runs"), "2579"),
        (answer("foreign", (0, 1), video="b", query="The door opens"), "c:1"),
    ]:
        assert ids(truth, [prediction]) == {found: 1}


def test_what_fits_no_record_is_kept_apart() -> None:
    matched = match(FOUR, [*THREE, answer("who", (0, 1)), answer(None, (0, 1), video="a", query="else")])
    assert [prediction.qid for prediction in matched.unknown] == ["who", None]
    with pytest.raises(ValueError, match=r"no prediction is for a record.*'exact', 'a.mp4', 'q'.*'who', None, None"):
        match(FOUR, [answer("who", (0, 1))])


def test_another_sentence_under_a_records_id_is_counted() -> None:
    assert match(FOUR, [answer("exact", (0, 1), query="Q."), answer("half", (0, 1), query="r")]).num_other_query == 1


def test_two_answers_to_one_query() -> None:
    assert match(FOUR, [answer("half", (0, 20)), answer("half", (0, 20))]).num_repeated == 1
    assert match(FOUR, [answer("half", None), answer("half", None)]).num_repeated == 1
    with pytest.raises(ValueError, match=r"p\.jsonl:2: answers 'half' otherwise than p\.jsonl:1; keep one"):
        match(FOUR, [answer("half", (0, 20), 1), answer("half", (0, 19), 2)])
    with pytest.raises(ValueError, match=r"p\.jsonl:2: answers 'half' otherwise"):
        match([record("half", (0, 1))], [answer("half", (0, 1), 1), answer(None, (0, 2), 2, video="a", query="q")])


def test_a_question_that_is_asked_twice() -> None:
    truth = [record("x", (0, 10)), record("y", (5, 10)), record("z", (0, 1), video="b.mp4")]
    one, two, three = (answer(None, (0, k), k, video="a", query="q") for k in (1, 2, 3))
    assert ids(truth, [one]) == {"x": 1, "y": 1}
    assert ids(truth, [one, two]) == {"x": 1, "y": 2}
    with pytest.raises(ValueError, match="asked 2 times in the annotations and answered 3 times; write the qid"):
        match(truth, [one, two, three])


def test_ids_that_count_the_records_are_positions(caplog: pytest.LogCaptureFixture) -> None:
    truth = [record("c:1", (0, 10)), record("c:2", (5, 10))]
    for first, second in [("1", "0"), ("charades_1", "charades_0")]:
        predictions = [answer(first, (5, 10), 1), answer(second, (0, 10), 2)]
        assert ids(truth, predictions) == {"c:1": 2, "c:2": 1}
    assert len(match(truth, [answer("0", (0, 1), query="Q."), answer("1", (0, 1))]).answers) == 2
    assert len(caplog.messages) == 3 and all("ids were taken as positions" in words for words in caplog.messages)
    with pytest.raises(ValueError, match="no prediction is for a record"):
        match(truth, [answer("0", (0, 1), query="else"), answer("1", (0, 1))])
    for others in [("1", "2"), ("0", "0"), ("0", "x"), ("0", None), ("0",), ("0", "1", "2")]:
        with pytest.raises(ValueError, match="no prediction is for a record"):
            match(truth, [answer(other, (0, 1)) for other in others])


def test_one_id_for_two_records_is_refused() -> None:
    with pytest.raises(ValueError, match=r"id 'x' is at x and at x; make it unique"):
        match([record("x", (0, 1)), record("x", (0, 1))], [answer("x", (0, 1))])


numbers = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12)


@given(numbers, st.data())
def test_the_order_of_the_files_does_not_show(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    truth = [record(str(k), (start, start + 7.3)) for k, (start, _) in enumerate(pairs)]
    answers = [answer(str(k), (end, end + 9.1)) for k, (_, end) in enumerate(pairs)]
    shuffled = data.draw(st.permutations(truth)), data.draw(st.permutations(answers))
    expected = metrics(score(truth, match(truth, answers).answers))
    assert metrics(score(shuffled[0], match(*shuffled).answers)) == expected


def of_shared(
    shared: Path, benchmark: Any, annotations: str, predictions: str
) -> tuple[list[Record], list[Prediction]]:
    (truth,), (preds,) = shared.glob(f"data/annotations/{annotations}"), shared.glob(f"data/{predictions}")
    return list(records(benchmark, truth)), read_predictions(preds, TIME_R1)


def test_the_metrics_published_with_moment_detr(shared: Path) -> None:
    folder = "predictions/qvhighlights__moment_detr/standalone_eval"
    truth, predictions = of_shared(
        shared, "qvhighlights", "qvhighlights*/highlight_val_release.jsonl", f"{folder}/sample_val_preds.jsonl"
    )
    matched = match(truth, predictions)
    assert (len(truth), matched.unknown, matched.num_other_query) == (1550, [], 0)
    brief = json.loads((shared / "data" / folder / "sample_val_preds_metrics_raw.json").read_text())["brief"]
    ours = metrics(score(truth, matched.answers))
    for key in ("R1@0.5", "R1@0.7"):
        assert round(ours[key], 2) == brief[f"MR-full-{key}"]
    assert (round(ours["R1@0.5"], 2), round(ours["R1@0.7"], 2)) == (53.94, 34.84)


def test_the_ious_published_with_time_r1(shared: Path) -> None:
    name = "tvgbench__xiaomi-research_time-r1/train_2k5.json"
    truth, predictions = of_shared(shared, "time_r1", name, f"annotations/{name}")
    scores = score(truth, match(truth, predictions).answers)
    published = {r["qid"]: r["difficulty"] for r in json.loads((shared / "data/annotations" / name).read_text())}
    assert len(scores) == len(published) == 2500
    for query in scores:
        assert query.iou == pytest.approx(published[query.record.sample_id] / 100, abs=1e-12)
    assert round(metrics(scores)["mIoU"], 4) == 34.3656


def test_several_answers_to_one_record_are_kept_for_a_mean() -> None:
    truth = [record("a", (0, 2)), record("b", (0, 2), query="r")]
    given = [answer("a", (0, 1)), answer("a", (0, 2)), answer("z", (0, 1))]
    assigned = assign(truth, given)
    assert [(index, p.answer.span) for index, p in assigned.answers] == [(0, Span(0, 1)), (0, Span(0, 2))]
    assert assigned.unknown == given[2:]
    with pytest.raises(ValueError, match="answers 'a' otherwise"):
        match(truth, given)


def test_answers_that_are_sets_have_the_metrics_of_sets() -> None:
    """Two windows found, one of two found, one of none refused; unread counts as wrong."""
    none = replace(record("none", query="n"), windows=())
    truth = [record("two", (0, 4), (6, 8)), record("half", (0, 4), (6, 8)), none, record("unread", (0, 1))]
    said = [(Span(0, 4), Span(6, 8)), (Span(0, 4),), (), None]
    answers = {
        number: replace(answer(r.sample_id, None), answer=Answer(False, spans, is_set=True))
        for number, (r, spans) in enumerate(zip(truth, said, strict=True))
    }
    scores = score(truth, answers)
    assert [query.iou for query in scores] == [1.0, 4 / 6, 1.0, 0.0]
    found = set_metrics(scores)
    assert (found["C-Acc"], found["refusal_precision"], found["refusal_recall"]) == (50, 100, 100)
    assert found["set_IoU"] == pytest.approx(metrics(scores)["mIoU"]) == pytest.approx(100 * (1 + 4 / 6 + 1) / 4)
    assert found["tF1@0.5"] == pytest.approx(100 * (1 + 2 / 3 + 1 + 0) / 4) and found["EtF1"] == pytest.approx(50)
    assert set_metrics(score(truth[:1], {0: answer("two", (0, 4))})) == {}
