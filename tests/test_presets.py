"""Each preset's way from text to score, right and as published, by hand and against what the authors' code gives."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from tvg_lightning.data.annotations.records import Record
from tvg_lightning.predictions import Prediction
from tvg_lightning.presets import PRESETS, PresetName, Scorer
from tvg_lightning.schema import AnswerFormat, Method, Span
from tvg_lightning.scoring import metrics, score

THOUGHT = "<think>1 to 2</think>"


@pytest.fixture(scope="module")
def cases(shared: Path) -> list[dict[str, Any]]:
    path = shared / "data/oracles/timelens_parse_and_score.json"
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return found


def counted(name: PresetName, text: str, as_published: bool, duration_s: float = 30.0) -> list[list[float]] | None:
    scorer = Scorer.of(name, as_published)
    spans = scorer.counted(scorer.read(text), duration_s).spans
    return None if spans is None else [list(span) for span in spans]


def test_every_name_has_a_preset() -> None:
    assert set(get_args(PresetName)) == set(PRESETS)


@pytest.mark.parametrize(
    ("name", "text", "right", "as_published"),
    [
        ("timelens", "The event happens in 2.5 - 8.5 seconds.", [[2.5, 8.5]], [[2.0, 8.0]]),  # half to even
        ("timelens", "61.5s to 111.7s", [[61.5, 111.7]], [[61.0, 111.0]]),
        ("timelens", "It is not there.", None, [[40.0, 50.0]]),  # behind the video
        ("timelens", "90 - 30 seconds", None, [[90.0, 30.0]]),  # worth nothing either way
        ("timelens2", "The event happens in 2.5 - 8.5 seconds.", [[2.5, 8.5]], [[2.5, 8.5]]),
        ("timelens2", "It is not there.", None, None),
        ("orarl", "<answer>1.5 to 3.5</answer>", [[1.5, 3.5]], [[2.0, 4.0]]),
        ("orarl", f"{THOUGHT}<answer>4 to 9</answer>", [[4.0, 9.0]], [[4.0, 9.0]]),
        ("lmms_timelens", f"{THOUGHT} 4 to 9", [[4.0, 9.0]], [[1.0, 2.0]]),  # the thought's
        ("lmms_charades", "between 4 and 9", [[4.0, 9.0]], None),
        ("lmms_charades", "From 9 to 4", None, [[4.0, 9.0]]),
        ("time_r1", f"{THOUGHT}<answer>4 - 9</answer>", [[4.0, 9.0]], [[1.0, 2.0]]),
        ("timezero", f"{THOUGHT}<answer>4s to 9s</answer>", [[4.0, 9.0]], [[1.0, 2.0]]),
        ("videochat_r1", f"{THOUGHT}<answer>4 to 9</answer>", [[4.0, 9.0]], [[4.0, 9.0]]),
        ("taro", f"{THOUGHT}<answer>4s to 9s</answer> of 30 s", [[4.0, 9.0]], [[9.0, 30.0]]),
        ("museg", f"{THOUGHT}<answer>4.00-9.00 10.00-12.00</answer>", [[4.0, 9.0]], [[4.0, 9.0]]),  # one counts
        ("museg", f"{THOUGHT}<answer>4.00-9.00 12.00-10.00</answer>", [[4.0, 9.0]], None),
        ("omtg", "<think><time>1 - 2 s</time></think><time>4 - 9 s</time>", [[4.0, 9.0]], [[1.0, 2.0], [4.0, 9.0]]),
        ("omtg", "nothing", None, []),
    ],
)
def test_by_hand(
    name: PresetName, text: str, right: list[list[float]] | None, as_published: list[list[float]] | None
) -> None:
    assert counted(name, text, False) == right
    assert counted(name, text, True) == as_published


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("timelens", "timelens_eval_iou"),
        ("timelens2", "timelens_eval_iou_unrounded"),
        ("lmms_timelens", "lmms_timelens_iou"),
        ("lmms_charades", "lmms_charades_iou"),
        ("taro", "taro_eval_iou"),
    ],
)
def test_ious_as_published(name: PresetName, key: str, cases: list[dict[str, Any]]) -> None:
    scorer = Scorer.of(name, as_published=True)
    for case in cases:
        answer = scorer.counted(scorer.read(case["text"]), case["duration"])
        assert scorer.iou(answer, [Span(*case["gt"])]) == pytest.approx(case["out"][key], abs=1e-9), case


def scored(name: PresetName, as_published: bool, cases: list[dict[str, Any]]) -> dict[str, float]:
    scorer = Scorer.of(name, as_published)
    truth = [Record(n, f"{n}", f"{n}.mp4", case["duration"], "q", (Span(*case["gt"]),)) for n, case in enumerate(cases)]
    answers = {
        n: Prediction(Path("p"), n, f"{n}", None, None, scorer.read(case["text"]), "text")
        for n, case in enumerate(cases)
    }
    scores = score(truth, answers, scorer)
    published = scorer.published
    leave = published is not None and published.unread_leave_mean
    return metrics(scores, scorer.strict(), scorer.thresholds, leave)


def test_timelens_over_all_texts(shared: Path, cases: list[dict[str, Any]]) -> None:
    """Its own table over the texts, and the right one, which reads more and rounds nothing."""
    path = shared / "data/oracles/timelens_parse_and_score.json"
    wanted = json.loads(path.read_text(encoding="utf-8"))["timelens_eval_over_cases"]
    assert wanted.pop("n") == len(cases)
    published, right = scored("timelens", True, cases), scored("timelens", False, cases)
    assert published == pytest.approx(wanted, abs=1e-9)
    assert right["mIoU"] > published["mIoU"] + 3.0


def test_the_right_way_reads_plain_texts_exactly(cases: list[dict[str, Any]]) -> None:
    """Where a text says one window in some plain way, its two numbers are the answer, unless they run backwards."""
    plain = ("official", "official_quote", "to", "to_s", "dash_s", "and", "start_end", "start_end2", "answer_dash",
             "answer_unit", "json_flat", "half_even", "decimals")  # fmt: skip
    seen = 0
    for case in cases:
        if case["kind"] in plain:
            first, second = (float(number) for number in re.findall(r"\d+(?:\.\d+)?", case["text"]))
            seen += first < second
            wanted = [[first, second]] if first < second else None
            assert counted("timelens", case["text"], False, case["duration"]) == wanted, case
    assert seen > 50


def test_what_leaves_a_denominator() -> None:
    cases = [
        {"text": "5 - 9 seconds", "gt": [5.0, 9.0], "duration": 30.0},
        {"text": "not there", "gt": [5.0, 9.0], "duration": 30.0},
    ]
    halves = {"R1@0.3": 50.0, "R1@0.5": 50.0, "R1@0.7": 50.0, "mIoU": 50.0}
    assert scored("timelens2", False, cases) == halves == scored("lmms_timelens", True, cases)
    assert scored("timelens2", True, cases) == {**halves, "mIoU": 100.0}  # the failure left the mean, not R1


def test_strict_thresholds_and_the_first_truth_only_as_published() -> None:
    at_half = [{"text": "0 to 5", "gt": [0.0, 10.0], "duration": 30.0}]
    assert [scored("time_r1", flag, at_half)["R1@0.5"] for flag in (False, True)] == [100.0, 0.0]
    truths = [Span(20.0, 30.0), Span(0.0, 5.0)]
    for flag, iou in ((False, 1.0), (True, 0.0)):
        scorer = Scorer.of("museg", flag)
        assert scorer.iou(scorer.read("<answer>0.0-5.0</answer>"), truths) == iou
    assert scored("museg", False, at_half).keys() == {"R1@0.1", "R1@0.3", "R1@0.5", "R1@0.7", "mIoU"}


def test_unanswered_and_repeated_questions() -> None:
    truth = [Record(n, f"{n}", "a.mp4", 30.0, "q", (Span(0.0, 10.0),)) for n in range(3)]
    scorers = {flag: Scorer.of("timelens", flag) for flag in (False, True)}

    def answers(scorer: Scorer) -> dict[int, Prediction]:
        texts = {0: "0 - 10", 1: "0 - 5"}
        return {n: Prediction(Path("p"), n, f"{n}", None, None, scorer.read(t), "text") for n, t in texts.items()}

    assert [len(score(truth, answers(one), one)) for one in scorers.values()] == [3, 1]  # one video, words and window
    taro = Scorer.of("taro", as_published=True)
    assert len(score(truth, answers(taro), taro)) == 2
    with pytest.raises(ValueError, match="leaves out questions without an answer, and here is no other"):
        score(truth, {}, taro)


def test_videochat_r1_keeps_the_iou_before_an_answer_that_it_cannot_read() -> None:
    """Its first one is left out, for there is none before; the others stand at 1, 1, 0.5, 0.5 and not 1, 0, 0.5, 0."""
    texts = ("?", "0 to 10", "?", "0 to 5", "?")
    cases = [{"text": text, "gt": [0.0, 10.0], "duration": 30.0} for text in texts]
    assert scored("videochat_r1", True, cases)["mIoU"] == 75.0
    assert scored("videochat_r1", False, cases)["mIoU"] == scored("timezero", True, cases)["mIoU"] == 30.0
    with pytest.raises(ValueError, match="here is no other"):
        scored("videochat_r1", True, cases[:1])


def test_a_preset_has_one_format() -> None:
    assert Scorer(AnswerFormat(Method.TIMELENS), "timelens").label == "timelens"
    assert Scorer.of("time_r1", as_published=True).label == "time_r1_as_published"
    for form in (AnswerFormat(Method.TAR_TVG), AnswerFormat(Method.TIMELENS, thought=True)):
        with pytest.raises(
            ValueError, match=r"preset timelens asks for .* timelens, without a thought: add configs/eval"
        ):
            Scorer(form, "timelens")
    with pytest.raises(ValueError, match="as_published: this is the way of a preset: name one"):
        Scorer(AnswerFormat(Method.TAR_TVG), None, as_published=True)


def test_a_number_of_any_length_is_no_fault() -> None:
    assert counted("timelens", f"1 - {'9' * 400} seconds", True) == [[1.0, float("inf")]]
