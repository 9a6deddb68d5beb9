import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.parsing import read_all, read_inverted, read_strict, read_thought, read_tolerant, read_windows
from tvg_lightning.schema import Answer, AnswerFormat, Method, Span
from tvg_lightning.spans import is_usable

TAR_TVG = AnswerFormat(Method.TAR_TVG)
TIME_R1 = AnswerFormat(Method.TIME_R1)
TVG_R1 = AnswerFormat(Method.TVG_R1)

GOOD_TAR = (
    "<think>First half, <timestamp>0.0 to 10.0</timestamp>, "
    "then closer, <timestamp>2.0 to 8.0</timestamp>.</think>\n"
    "<answer>3.0 to 7.0</answer>"
)
LINEAGE = [Method.TIME_R1, Method.INVERT4TVG]

# ---- strict: the Time-R1 lineage


@pytest.mark.parametrize("method", LINEAGE)
@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("<think>a</think><answer>12.0 to 15.5</answer>", Span(12.0, 15.5)),
        ("<think>a\nb</think>\n\n<answer>\n12.54 to 17.83\n</answer><|im_end|>", Span(12.54, 17.83)),
        (
            "  <think></think> <answer>between 3 and 4 seconds</answer>\n<|im_end|>\n<|endoftext|>",
            Span(3.0, 4.0),
        ),
        ("<think>1 to 9</think><answer>1 to 2, or 3 to 4</answer>", Span(3.0, 4.0)),  # the last pair
        (
            "<think>a</think><answer>1 to 2</answer> <answer>5 to 6</answer>",
            Span(5.0, 6.0),
        ),  # the last answer
        ("<think>a</think><answer>7 to 5</answer>", None),
        ("<think>a</think><answer>1 to 2 or 7 to 5</answer>", None),  # the last pair, usable or not
        ("<think>a</think><answer>in the kitchen</answer>", None),
        ("<think>a</think><answer>12.0 - 15.5</answer>", None),
        ("<think>a</think><answer>-1 to 5</answer>", None),
        ("<think>a</think><answer>0:01 to 0:05</answer>", None),
        ("<think>1 to 2</think><answer></answer>", None),
    ],
)
def test_lineage_format_kept(method: Method, text: str, span: Span | None) -> None:
    assert read_strict(text, AnswerFormat(method)) == Answer(True, None if span is None else (span,))


@pytest.mark.parametrize("method", LINEAGE)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<answer>1 to 2</answer>",
        "<think>a<answer>1 to 2</answer>",
        "<think>a</think>so <answer>1 to 2</answer>",
        "well <think>a</think><answer>1 to 2</answer>",
        "<think>a</think><answer>1 to 2</answer> there",
        "<think>a</think><answer>1 to 2",
        "<answer>1 to 2</answer><think>a</think>",
        "<think>a</answer>",
        "<think>a</think><answer></answe",
        "1 to 2",
    ],
)
def test_lineage_format_broken_gives_no_span(method: Method, text: str) -> None:
    assert read_strict(text, AnswerFormat(method)) == Answer(False, None)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", " ", "1 to 2", "x"]), max_size=9))
def test_lineage_format_is_the_released_pattern(pieces: list[str]) -> None:
    text = "".join(pieces).strip()
    released = re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", text, re.DOTALL)
    assert read_strict(text, TIME_R1).follows_format == (released is not None)


# ---- strict: TAR-TVG


def test_tar_tvg_format_kept() -> None:
    assert read_strict(GOOD_TAR, TAR_TVG) == Answer(True, (Span(3, 7),), (Span(0, 10), Span(2, 8)))


def test_tar_tvg_one_anchor_is_enough() -> None:
    text = GOOD_TAR.replace("<timestamp>2.0 to 8.0</timestamp>", "2.0 to 8.0")
    assert read_strict(text, TAR_TVG) == Answer(True, (Span(3, 7),), (Span(0, 10),))


@pytest.mark.parametrize(
    ("old", "new", "span", "num_anchors"),
    [
        ("2.0 to 8.0", "8.0 to 2.0", Span(3, 7), 1),  # an anchor that cannot be used
        ("2.0 to 8.0", "about 2.0 to 8.0", Span(3, 7), 1),
        ("2.0 to 8.0", "2.0 and 8.0", Span(3, 7), 1),
        ("</timestamp>.", ".", Span(3, 7), 1),  # one left open
        ("closer, <timestamp>", "closer, ", Span(3, 7), 1),  # one never opened
        ("<answer>", "<timestamp>1 to 2</timestamp><answer>", Span(3, 7), 2),  # one outside the thought
        ("<answer>3.0", "<answer><timestamp>1 to 2</timestamp>3.0", Span(3, 7), 2),
        ("3.0 to 7.0", "nowhere", None, 2),
        ("3.0 to 7.0", "7.0 to 3.0", None, 2),
        ("</think>", "</think></think>", Span(3, 7), 2),
        ("<think>", "", Span(3, 7), 0),
        ("<think>", "So <think>", Span(3, 7), 2),
        ("</answer>", "</answer> done", Span(3, 7), 2),
        ("</answer>", "", None, 2),
        ("</answer>", "</answer><answer>4 to 5</answer>", Span(4, 5), 2),
    ],
)
def test_tar_tvg_format_broken_still_yields_what_can_be_read(
    old: str, new: str, span: Span | None, num_anchors: int
) -> None:
    assert old in GOOD_TAR
    answer = read_strict(GOOD_TAR.replace(old, new), TAR_TVG)
    assert not answer.follows_format
    assert (answer.span, len(answer.anchors)) == (span, num_anchors)


def test_tar_tvg_needs_an_anchor() -> None:
    text = "<think>no times</think><answer>3.0 to 7.0</answer>"
    assert read_strict(text, TAR_TVG) == Answer(False, (Span(3, 7),))


# ---- strict: TVG-R1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think><time>[12.0, 15.5]</time>", Answer(True, (Span(12, 15.5),))),
        ("<think>a</think>\n<time> [0,1e1] </time> and so on", Answer(True, (Span(0, 10),))),
        ("<think>a</think><time>[1, 2]</time><time>[3, 4]</time>", Answer(True, (Span(1, 2),))),  # the first
        ("<think>a</think> So: <time>[1, 2]</time>", Answer(True, (Span(1, 2),))),  # as released
        ("<think>a</think><time>12.0 to 15.5</time>", Answer(True, None)),
        ("<think>a</think><time>[07, 9]</time>", Answer(True, None)),  # no JSON
        ("<think>a</think><time>[2, 1]</time>", Answer(True, None)),
        ("<think>a</think><time>[1, 2, 3]</time>", Answer(True, None)),
        ("<think>a</think><time>[1, 1e999]</time>", Answer(True, None)),
        ("<time>[1, 2]</time>", Answer(False, (Span(1, 2),))),  # IoU and format are separate terms
        ("<time>[1, 2]</time><think>a</think>", Answer(False, (Span(1, 2),))),
        ("<think>a</think><time>[1, 2]", Answer(False, None)),
        ("<think>a</think><answer>1 to 2</answer>", Answer(False, None)),
    ],
)
def test_tvg_r1(text: str, answer: Answer) -> None:
    assert read_strict(text, TVG_R1) == answer


# ---- tolerant


def test_windows_are_the_usable_ones() -> None:
    assert read_windows("5 to 3, [5, 5], 0:59 to 1:01") == [Span(59, 61)]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("The event happens in 64.0 - 72.0 seconds.", Span(64, 72)),
        ("<think>1 to 2</think><answer>3 - 4</answer>", Span(3, 4)),
        ("<think>1 to 2</think><answer>3 to 4, better 5 to 6</answer>", Span(5, 6)),
        ("<answer>3 to 4</answer> not 8 to 9", Span(3, 4)),
        ("<answer>3 to 4</answer><answer>5 to 6</answer>", Span(5, 6)),
        ("<time>[3, 4]</time>", Span(3, 4)),
        ("<answer>1 to 2</answer><time>[3, 4]</time>", Span(3, 4)),
        ("<think>1 to 2</think><answer>3 to 4.5", Span(3, 4.5)),  # truncated
        ("<think>1 to 2</think>It is at 3 to 4", Span(3, 4)),
        ("<think>1 to 2</think><answer>here</answer> that is 3 to 4", Span(3, 4)),
        ("I think 1 to 2</think> 3 to 4", Span(3, 4)),  # a template that opened the thought itself
        ("<think>1 to 2", None),
        ("0 to 1 <think>1 to 2", Span(0, 1)),
        ("<think>1 to 2 <answer>3 to 4</answer>", Span(3, 4)),  # a thought that only the answer ends
        ("<think>1 to 2 <time>[3, 4]", Span(3, 4)),
        ("<answer>8 to 9</answer><think>1 to 2", Span(8, 9)),
        ("<think>1 to 2</think>", None),
        ("no idea", None),
        ("from 20% to 40%", None),
        ("<answer>1 to 2 or 7 to 5</answer>", Span(1, 2)),  # a reversed pair is no answer
        ("<answer>7 to 5</answer> or 8 to 9", Span(8, 9)),
        ("<answer>[5, 5]</answer> or 8 to 9", None),  # an instant is an answer, of IoU 0
        ("<think>a</think><answer>1 to 2 frames</answer>", Span(1, 2)),  # what the reward reads, evaluation reads
    ],
)
def test_tolerant(text: str, span: Span | None) -> None:
    assert read_tolerant(text, TIME_R1).span == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("<time>[1, 2]</time><time>[3, 4]</time>", Span(1, 2)),  # the first, as in the released evaluation
        ("<time>1.0 - 2.0, 3.0 - 4.0</time>", Span(1, 2)),
        ("<time>here</time> at 3 to 4 and 5 to 6", Span(3, 4)),
        ("<answer>3 to 4</answer><time>[1, 2]", Span(1, 2)),
        ("<answer>3 to 4</answer> not 1 to 2", Span(3, 4)),
        ("<time>[7, 5]</time>", None),
        ("<think>1 to 2", None),
    ],
)
def test_tolerant_of_tvg_r1_takes_the_first(text: str, span: Span | None) -> None:
    assert read_tolerant(text, TVG_R1).span == span


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize(
    ("text", "kept", "swapped"),
    [
        ("<answer>1 to 2, and 5 to 3</answer> or 8 to 9", [(1, 2)], [(1, 2), (3, 5)]),
        ("<think>1 to 9</think>Start: 0:05, End: 0:08; Start: 12, End: 12", [(5, 8), (12, 12)], [(5, 8), (12, 12)]),
        ("[9, 7]", [], [(7, 9)]),
        ("<think>1 to 9", [], []),
    ],
)
def test_all_windows_of_the_final_answer(
    text: str, kept: list[tuple[int, int]], swapped: list[tuple[int, int]], method: Method
) -> None:
    assert [tuple(window) for window in read_all(text, method)] == kept
    assert [tuple(window) for window in read_all(text, method, reversed_pairs="swap")] == swapped


def test_tolerant_keeps_the_strict_flag_and_reads_loose_anchors() -> None:
    text = GOOD_TAR.replace("2.0 to 8.0", "2.0s - 8.0s")
    assert read_tolerant(text, TAR_TVG) == Answer(False, (Span(3, 7),), (Span(0, 10), Span(2, 8)))
    assert read_tolerant(GOOD_TAR, TAR_TVG) == read_strict(GOOD_TAR, TAR_TVG)


PHRASES = [
    ("从{}秒到{}秒", "."), ("{}초부터 {}초까지", "."), ("{}秒から{}秒まで", "."), ("开始：{} 结束：{}", "."),
    ("{}～{}", "."), (r"\boxed{{\text{{{} to {}}}}}", "."), ("| Start | End |\n|---|---|\n| {} | {} |", "."),
    ("{} (start) to {} (end)", "."), ("von {} bis {} Sekunden", ","), ("zwischen {} und {} s", ","),
    ("de {} à {} secondes", ","), ("{} to {}", ","), ("{}-{}", ","), ("Start: {}, End: {}", ","),
    ("de {} a {} segundos", ","),
]  # fmt: skip


@given(st.sampled_from(PHRASES), st.integers(0, 50_000), st.integers(0, 50_000))
def test_windows_in_other_words_and_marks(phrase: tuple[str, str], first: int, second: int) -> None:
    form, point = phrase
    times = [f"{tenths / 10}".replace(".", point) for tenths in sorted((first, second))]
    span = Span(min(first, second) / 10, max(first, second) / 10)
    assert read_all(f"<think>1 to 9</think><answer>{form.format(*times)}</answer>", Method.TIME_R1) == [span]


# ---- inversion


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("<answer>rise</answer>", "rise"),
        (" <answer>\nThe red circle rises.\n</answer>\n<|im_end|>", "The red circle rises."),
        ("rise", None),
        ("<answer> </answer>", None),
        ("<answer>rise", None),
        ("<think>a</think><answer>rise</answer>", None),
        ("<answer>a</answer><answer>b</answer>", None),
        ("<answer><think>a</think>b</answer>", None),
        ("<answer>rise</answer>!", None),
        ("<answer>", None),
        ("</answer>", None),
    ],
)
def test_inverted(text: str, content: str | None) -> None:
    assert read_inverted(text) == content


# ---- any text

FRAGMENTS = [
    "<think>", "</think>", "<answer>", "</answer>", "<time>", "</time>", "<timestamp>", "</timestamp>",
    "1 to 2", "[1, 2]", "1:00", " ", "12.5s", "-", "1e999", "٣ to ٤", "<|im_end|>", "\n", "[", "and",
    "9" * 400, "秒到", "12,5", "\\text{", "| Start | End |\n", "1'05", "：", "-5",
]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)))
def test_no_text_raises_and_every_span_is_usable(text: str) -> None:
    read_inverted(text)
    for method in Method:
        assert all(math.isfinite(time) for window in read_all(text, method, "swap") for time in window)
        for answer in (read_strict(text, AnswerFormat(method)), read_tolerant(text, AnswerFormat(method))):
            assert answer.span is None or is_usable(answer.span)
            assert all(is_usable(anchor) for anchor in answer.anchors)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join), st.sampled_from(Method))
def test_what_the_reward_reads_evaluation_reads(inside: str, method: Method) -> None:
    start, end = ("<time>", "</time>") if method is Method.TVG_R1 else ("<answer>", "</answer>")
    text = f"<think><timestamp>1 to 2</timestamp></think>{start}{inside}{end}"
    strict, tolerant = read_strict(text, AnswerFormat(method)), read_tolerant(text, AnswerFormat(method))
    assert strict.follows_format == tolerant.follows_format
    if strict.follows_format and strict.span is not None:
        assert tolerant.span == strict.span


# ---- sets of windows, and answers without a thought


TWO = (Span(1, 2), Span(3.5, 4))


@pytest.mark.parametrize(
    ("text", "strict", "tolerant"),
    [
        ("[[1, 2], [3.5, 4]]", TWO, TWO),
        (" [ [1.0,2.0] ,[3.5 , 4e0] ]\n<|im_end|>", TWO, TWO),
        ("[[3.5, 4], [1, 2]]", TWO[::-1], TWO[::-1]),  # in the order in which it is written
        ("[]", (), ()),
        ("[ ]<|im_end|>", (), ()),
        ("```json\n[[1, 2], [3.5, 4]]\n```", None, TWO),
        ("It happens twice: [[1, 2], [3.5, 4]].", None, TWO),
        ("From 1 to 2 and from 3.5 to 4 seconds.", None, TWO),
        ("<answer>[[1, 2], [3.5, 4]]</answer>", None, TWO),
        ("<think>5 to 6</think>[[1, 2], [3.5, 4]]", None, TWO),
        ("[[1, 2], [3.5, 4],]", None, TWO),
        ("[1, 2]", None, TWO[:1]),
        ("[[1, 2], [4, 3.5]]", None, TWO[:1]),  # reversed
        ("[[1, 2], [3, 3]]", None, TWO[:1]),
        ("[[1, 2], [3, NaN]]", None, TWO[:1]),
        ("[[1, 2], [3, Infinity]]", None, TWO[:1]),
        ("It does not happen: []", None, ()),
        ("<think>[]</think>", None, None),
        ("[[]]", None, ()),
        ("", None, None),
        ("never", None, None),
        ("[[2, 1]]", None, None),
    ],
)
def test_a_json_list_says_several_windows_or_none(
    text: str, strict: tuple[Span, ...] | None, tolerant: tuple[Span, ...] | None
) -> None:
    form = AnswerFormat(Method.TIMELENS2)
    assert read_strict(text, form) == Answer(strict is not None, strict, is_set=True)
    assert read_tolerant(text, form) == Answer(strict is not None, tolerant, is_set=True)
    behind_a_thought = f"<think>so</think>\n{text}"
    if "<think>" not in text:
        assert read_strict(behind_a_thought, AnswerFormat(Method.TIMELENS2, thought=True)).spans == strict


ALONE = {
    Method.TVG_R1: "<time>[1.0, 2.0]</time>",
    Method.TIMELENS2: "[[1.0, 2.0]]",
    Method.TIMELENS: "The event happens in 1.0 - 2.0 seconds",
    Method.TARO: "<answer>1.0s to 2.0s</answer>",
    Method.MUSEG: "<answer>1.0-2.0</answer>",
    Method.OMTG: "<time>1.0 - 2.0 seconds</time>",
}


@pytest.mark.parametrize("method", list(Method))
def test_without_a_thought_the_answer_stands_alone(method: Method) -> None:
    form, text = AnswerFormat(method, thought=False), ALONE.get(method, "<answer>1.0 to 2.0</answer>")
    good = Answer(True, (Span(1, 2),), is_set=form.says_sets)
    assert read_strict(text, form) == read_strict(f" {text}\n<|im_end|>", form) == good
    for other in (
        f"<think>x</think>{text}",
        f"It is {text}",
        f"{text} so",
        f"{text}{text[1:]}",
        text[1:],
        text.replace("1.0", "3"),
    ):
        assert read_strict(other, form) == replace(good, follows_format=False, spans=None), other
    assert read_tolerant(f"It is {text}", form).span == Span(1, 2)
    assert not read_strict(text, AnswerFormat(method, thought=True)).follows_format


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)).filter(lambda pair: pair[0] < pair[1]), max_size=8))
def test_every_json_list_comes_back(windows: list[tuple[float, float]]) -> None:
    text = json.dumps(windows)
    assert read_strict(text, AnswerFormat(Method.TIMELENS2)).spans == tuple(Span(*pair) for pair in windows)


REPEATED = pytest.mark.parametrize(
    "unit", [*FRAGMENTS, "1 ", "1 to ", "12.5s ", "1 end ", "1:", "1.", '1"', "</think> ", "[1,", "1, ", "1 min, "]
)
AROUND = pytest.mark.parametrize(
    "around", [("", ""), ("<think>", "</answer>"), ("1", ""), ("<think></think><answer>", "")]
)


def seconds_to_read(text: str) -> float:
    started = time.process_time()
    for method in Method:
        read_tolerant(text, AnswerFormat(method))  # the strict rule, too
        read_strict(text, AnswerFormat(method, not AnswerFormat(method).has_thought))
    read_inverted(text)
    return time.process_time() - started


@REPEATED
@AROUND
def test_twenty_thousand_characters_are_read_at_once(unit: str, around: tuple[str, str]) -> None:
    """In a second or two; quadratic time would be minutes, and a busy machine is no fault of the parser."""
    assert seconds_to_read(around[0] + unit * (20_000 // len(unit)) + around[1]) < 10.0


@pytest.mark.slow
@REPEATED
@AROUND
def test_five_times_as_many_characters_take_five_times_as_long(unit: str, around: tuple[str, str]) -> None:
    """Not twenty-five times, as in quadratic time; compared on the same machine in the same minute."""
    some_s, many_s = (
        seconds_to_read(around[0] + unit * (num_chars // len(unit)) + around[1]) for num_chars in (20_000, 100_000)
    )
    assert many_s < 12 * some_s + 1.0


UNITS = [
    "\\text{", "\\boxed{\\text{1 to 2}}", "\\", "{", "|", "| Start | End |\n", "Start|End\n1|2\n", "1\t2\n", "秒",
    "12秒到", "から ", "12,5 to ", "1,234,", "1.234,", "-", "-5 ", "\n-5", "1 min 5 ", "1 min 75 ", "1'05", "1:5 - ",
    "1 (a", "1 (a) to ", "1 start ", "start 1 end ", "12. to ", "1 ± ", "<t<", "１：", "1，", "à 1 a ", "1e",
    "1\u00a0234", "1한",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_other_words_and_marks_are_read_at_once(unit: str) -> None:
    started = time.process_time()
    for before, behind in [("", ""), ("1 to ", "}"), ("|Start|End|\n|", "|")]:
        read_windows(before + unit * (30_000 // len(unit)) + behind)
    assert time.process_time() - started < 5.0  # quadratic time would be minutes


# ---- real outputs


def test_real_outputs_of_time_r1(shared: Path) -> None:
    path = shared / "data/predictions/raw_text__github_issues/raw_outputs.jsonl"
    seen = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "time_r1_answer_tag":
            seen += 1
            span = read_tolerant(record["raw_text"], TIME_R1).span
            assert span is not None
            assert list(span) == record["pred"]
            assert not read_strict(record["raw_text"], TIME_R1).follows_format  # sampled without a thought
    assert seen >= 3


def test_fenced_json_of_qwen(shared: Path) -> None:
    path = shared / "data/predictions/raw_text__Qwen2.5-VL_cookbook/extracted_markdown_outputs.json"
    texts = [record["text"] for record in json.loads(path.read_text(encoding="utf-8"))]
    (fenced,) = [text for text in texts if text.startswith("```json")]
    windows = [(0, 21.8), (23.9, 95.6), (97.8, 168.8), (170, 259.8)]
    assert [tuple(window) for window in read_all(fenced, Method.TIME_R1)] == windows


def test_answers_that_were_misread(shared: Path) -> None:
    texts = (shared / "faults/texts.txt").read_text(encoding="utf-8").splitlines()
    wanted = (shared / "faults/texts_wanted.jsonl").read_text(encoding="utf-8").splitlines()
    for text, window in zip(texts, wanted, strict=True):
        assert [list(found) for found in read_all(text, Method.TIME_R1)] == [json.loads(window)]


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>a</think><answer>1 to 2</answer>", "a"),
        ("so <think>a <time>1 - 2 seconds</time></think> <think>b</think>", "a <time>1 - 2 seconds</time>"),
        ("<think>never ends", "never ends"),
        ("<think>a<answer>1 to 2</answer>", "a"),
        ("a</think>1 to 2", "a"),  # the template has opened it
        ("<think></think>1 to 2", ""),
        ("1 to 2", None),
        ("", None),
    ],
)
def test_the_thought_of_a_text(text: str, thought: str | None) -> None:
    assert read_thought(text) == thought
