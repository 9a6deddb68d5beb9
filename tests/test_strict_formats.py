"""The formats of OraRL, TimeLens, TaRO, MUSEG and OMTG, to the letter; and against what their own code reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.parsing import read_strict, read_tolerant
from tvg_lightning.schema import Answer, AnswerFormat, Method, Span

ONE, TWO = (Span(1, 2.5),), (Span(1, 2.5), Span(4, 5))
UNREAD = object()  # out of the format, no window


def strict(method: Method, text: str, thought: bool | None = None) -> tuple[bool, tuple[Span, ...] | None]:
    answer = read_strict(text, AnswerFormat(method, thought))
    assert answer.is_set == AnswerFormat(method).says_sets
    return answer.follows_format, answer.spans


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("<answer>1 to 2.5</answer>", ONE),
        ("<ANSWER>\n1.0 AND 2.50 </ANSWER><|im_end|>", ONE),
        ("<think>1 to 9</think>\n<answer>1 to 2.5</answer>", ONE),
        ("1 to 9</think><answer>1 to 2.5</answer>", ONE),  # a template that opens the thought itself
        ("<answer>-1 to 2</answer>", (Span(-1, 2),)),
        ("<answer>1 - 2.5</answer>", None),
        ("<answer>1s to 2.5s</answer>", None),
        ("<answer>1 to 2.5 seconds</answer>", None),
        ("<answer>from 1 to 2.5</answer>", None),
        ("<answer>1 to 2.5</answer>.", None),
        ("So <answer>1 to 2.5</answer>", None),
        ("<answer>1 to 2.5</answer><answer>1 to 2.5</answer>", None),
        ("<think><answer></think><answer>1 to 2.5</answer>", None),
        ("<think>a<answer>1 to 2.5</answer>", None),
        ("<answer>2.5 to 1</answer>", None),
        ("<answer>1 to 2.5", None),
        ("", None),
    ],
)
def test_ora_rl(text: str, spans: tuple[Span, ...] | None) -> None:
    assert strict(Method.ORA_RL, text) == (spans is not None, spans)


def test_ora_rl_with_its_thought_settled() -> None:
    alone, thinking = "<answer>1 to 2.5</answer>", "<think>a</think><answer>1 to 2.5</answer>"
    assert strict(Method.ORA_RL, alone, thought=True) == (False, None) == strict(Method.ORA_RL, thinking, thought=False)
    assert strict(Method.ORA_RL, alone, thought=False) == (True, ONE) == strict(Method.ORA_RL, thinking, thought=True)
    assert strict(Method.ORA_RL, thinking.removeprefix("<think>"), thought=True) == (False, None)
    # Turkish İ becomes two characters in lower case: places must not be those of another text
    assert strict(Method.ORA_RL, f"<think>{'İ' * 9}</think><answer>1 to 2.5</answer>") == (True, ONE)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("The event happens in 1.0 - 2.5 seconds", ONE),
        ("The event happens in 1 - 2.5 seconds.<|im_end|>", ONE),
        ("The event happens in 1.0 - 2.5 seconds, 4.0 - 5.0 seconds.", ONE),
        ("The event happens in 1.0-2.5 seconds", ONE),
        ("The event happens in 1.0 to 2.5 seconds", None),
        ("The event happens in 1.0s - 2.5s", None),
        ("The event happens in 00:01 - 00:02 seconds", None),
        ("The event happens in 2.5 - 1.0 seconds", None),
        ("The event happens in 1.0 - 2.5 seconds, 5.0 - 4.0 seconds", None),
        ("The event happens in 1.0 - 2.5 seconds and again", None),
        ("'The event happens in 1.0 - 2.5 seconds'", None),
        ("1.0 - 2.5 seconds", None),
    ],
)
def test_timelens(text: str, spans: tuple[Span, ...] | None) -> None:
    assert strict(Method.TIMELENS, text) == (spans is not None, spans)
    assert strict(Method.TIMELENS, f"<think>3 - 4 seconds</think> {text}", thought=True) == (spans is not None, spans)
    assert not read_strict(f"<think>a</think>{text}", AnswerFormat(Method.TIMELENS)).follows_format


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<think>a</think><answer>1.0s to 2.5s</answer>", (True, ONE)),
        ("<think>a</think>\n<answer>\n9s to 10s, no, 1.00s AND 2.50s\n</answer><|im_end|>", (True, ONE)),
        ("<think>a</think><answer>1.0 to 2.5</answer>", (True, None)),  # the unit is required
        ("<think>a</think><answer>1.0s  to 2.5s</answer>", (True, None)),  # and one blank
        ("<think>a</think><answer>1.0 s to 2.5 s</answer>", (True, None)),
        ("<think>a</think><answer>00:01s to 00:02s</answer>", (True, None)),
        ("<think>a</think><answer>2.5s to 1.0s</answer>", (True, None)),
        ("<think>a</think><answer>1.0s to 2.5sec</answer>", (True, None)),
        ("<think>a</think> so <answer>1.0s to 2.5s</answer>", (False, ONE)),  # format and time are apart
        ("<think>a <answer></think><answer>1.0s to 2.5s</answer>", (False, ONE)),
        ("<think>a</think><answer>9s to 10s</answer><answer>1.0s to 2.5s</answer>", (False, ONE)),
        ("<answer>1.0s to 2.5s</answer>", (False, ONE)),
        ("<think>a</think><answer>1.0s to 2.5s", (False, None)),
        ("<think>1.0s to 2.5s</think>", (False, None)),
    ],
)
def test_taro(text: str, read: tuple[bool, tuple[Span, ...] | None]) -> None:
    assert strict(Method.TARO, text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<think>a</think><answer>1.00-2.50 4.00-5.00</answer>", (True, TWO)),
        ("<think>a</think>\n<answer>\n1-2.5\n4-5 </answer>", (True, TWO)),
        ("<think>a</think><answer></answer>", (True, ())),  # nothing in the video
        ("<think>a</think><answer>4.00-5.00 1.00-2.50</answer>", (True, TWO[::-1])),  # in the order written
        ("<think>a</think><answer>1.00-2.50, 4.00-5.00</answer>", (False, None)),
        ("<think>a</think><answer>1.00s-2.50s</answer>", (False, None)),
        ("<think>a</think><answer>1.00 to 2.50</answer>", (False, None)),
        ("<think>a</think><answer>1.00 - 2.50</answer>", (False, None)),
        ("<think>a</think><answer>-1.00-2.50</answer>", (False, None)),
        ("<think>a</think><answer>1.00-2.50 5.00-4.00</answer>", (True, None)),  # can be read, not used
        ("<think>a</think><answer>1.00-1.00</answer>", (True, None)),
        ("<answer>1.00-2.50 4.00-5.00</answer>", (False, TWO)),
        ("<think>a</think><answer>1.00-2.50 4.00-5.00</answer> ok", (False, TWO)),
        ("<think>a</think><answer>1.00-2.50</answer><answer>4.00-5.00</answer>", (False, None)),
        ("<think>1.00-2.50</think>", (False, None)),
    ],
)
def test_museg(text: str, read: tuple[bool, tuple[Span, ...] | None]) -> None:
    assert strict(Method.MUSEG, text) == read


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("<time>1.0 - 2.5 seconds</time>", ONE),
        ("<time>1.0 - 2.5 seconds</time> <time>4.0 - 5.0 seconds</time>", TWO),
        ("<TIME>1-2.5 s</TIME>, and <time>4 - 5</time>.", TWO),
        ("<time>1 - 2.5 seconds</time><time>4 - 5 seconds</time>", TWO),
        ("<time>1 to 2.5 seconds</time>", None),
        ("<time>00:01 - 00:02 seconds</time>", None),
        ("<time>2.5 - 1 seconds</time>", None),
        ("<time>1 - 2.5 seconds</time> <time>5 - 4 seconds</time>", None),
        ("It happens in <time>1 - 2.5 seconds</time>", None),
        ("1 - 2.5 seconds", None),
        ("", None),
    ],
)
def test_omtg(text: str, spans: tuple[Span, ...] | None) -> None:
    assert strict(Method.OMTG, text, thought=False) == (spans is not None, spans)
    thinking = f"<think>first <time>7 - 8 seconds</time> a dog</think>\n{text}"
    assert strict(Method.OMTG, thinking) == (spans is not None, spans)
    assert strict(Method.OMTG, text) == (False, None)


@pytest.mark.parametrize(
    ("method", "text", "spans"),
    [
        (Method.ORA_RL, "<answer>1 - 2.5 seconds, or 4 - 5 seconds</answer>", ONE),  # the first, as in its evaluation
        (Method.TIMELENS, "From 1 to 2.5 seconds, and from 4 to 5.", ONE),
        (Method.TARO, "<answer>4 to 5, better 1s - 2.5s</answer>", ONE),  # the last
        (Method.MUSEG, "<answer>1.0s - 2.5s, 4 to 5</answer>", TWO),
        (Method.MUSEG, "<answer>1.00-2.50 4.00-5.00</answer>", TWO),
        (Method.MUSEG, "It does not happen: <answer> </answer>", ()),
        (Method.MUSEG, "<think><answer></answer></think>", None),
        (Method.OMTG, "It happens in <time>1 to 2.5</time> and again in <time>4 - 5 s</time>, not 8 to 9.", TWO),
        (Method.OMTG, "<think><time>7 - 8 s</time></think>It happens from 1 to 2.5 and from 4 to 5 seconds.", TWO),
        (Method.OMTG, "<answer></answer>[]", None),  # this format has no way to say so
    ],
)
def test_evaluation_reads_what_the_reward_does_not(method: Method, text: str, spans: tuple[Span, ...] | None) -> None:
    answer = read_tolerant(text, AnswerFormat(method))
    assert answer == Answer(False, spans, is_set=AnswerFormat(method).says_sets)


# ---- against the authors' own code


def usable(window: list[float] | None) -> tuple[Span, ...] | None:
    return (Span(*window),) if window is not None and window[0] < window[1] else None


def oracle(shared: Path, name: str) -> Any:
    return json.loads((shared / "data/oracles" / name).read_text(encoding="utf-8"))


def test_ora_rl_reads_what_its_code_reads(shared: Path) -> None:
    cases = oracle(shared, "timelens_parse_and_score.json")["cases"]
    seen = 0
    for case in cases:
        if "<|im_end|>" not in case["text"]:
            spans = usable(case["out"]["orarl_train"])
            seen += spans is not None
            assert strict(Method.ORA_RL, case["text"]) == (spans is not None, spans), case
    assert seen > 10


def test_taro_reads_what_its_code_reads(shared: Path) -> None:
    cases = oracle(shared, "taro_reward_parts.json")["reward_groups"]
    rollouts = [rollout for case in cases for rollout in case["rollouts"]]
    for rollout in rollouts:
        text, spans = rollout["text"], usable(rollout["parsed"])
        assert strict(Method.TARO, text) == (rollout["format_score"] == 1.0, spans), rollout
    assert {rollout["format_score"] for rollout in rollouts} == {0.0, 1.0}


def test_museg_reads_what_its_code_reads(shared: Path) -> None:
    for case in oracle(shared, "museg_rewards.json")["cases"]:
        follows_format, spans = strict(Method.MUSEG, case["text"])
        assert follows_format == (case["format_without_citation"] == 1.0), case
        if case["global_matching"] > 0.0:  # some window was read, and lies on a true one
            assert spans, case


def test_omtg_reads_what_its_code_reads(shared: Path) -> None:
    seen = 0
    for case in oracle(shared, "omtg_metrics.json")["text_cases"]:
        thought = None if case["text"].startswith("<think>") else False
        follows_format, spans = strict(Method.OMTG, case["text"], thought)
        if follows_format:
            seen += 1
            assert case["format"] == 1.0 and [list(span) for span in spans or ()] == case["reward_segments"]
    assert seen > 10
