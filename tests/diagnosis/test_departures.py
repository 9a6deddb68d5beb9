"""Every way out of a format has its name, and no text that the parser refuses goes without one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.diagnosis.departures import OTHERWISE, departure, inverted_departure, time_departure
from tvg_lightning.parsing import read_inverted, read_strict
from tvg_lightning.schema import AnswerFormat, Method

TIME_R1, TVG_R1 = AnswerFormat(Method.TIME_R1), AnswerFormat(Method.TVG_R1)
TAR_TVG, SETS = AnswerFormat(Method.TAR_TVG), AnswerFormat(Method.TIMELENS2)
ORA_RL, TIMELENS, TARO = AnswerFormat(Method.ORA_RL), AnswerFormat(Method.TIMELENS), AnswerFormat(Method.TARO)
MUSEG, OMTG = AnswerFormat(Method.MUSEG), AnswerFormat(Method.OMTG)
FORMS = [AnswerFormat(method, thought) for method in Method for thought in (None, True, False)]
THOUGHT = "<think>t</think>"
ANCHOR = "<timestamp>1.0 to 2.0</timestamp>"


@pytest.mark.parametrize(
    ("form", "text", "name"),
    [
        (TIME_R1, " <|im_end|>", "nothing was written"),
        (TIME_R1, "From 1 to 2 seconds.", "no thought"),
        (TIME_R1, "t</think><answer>1 to 2</answer>", "<think> is missing"),
        (TIME_R1, f"So: {THOUGHT}<answer>1 to 2</answer>", "text before <think>"),
        (TIME_R1, "<think>t <answer>1 to 2</answer>", "</think> is missing"),
        (TIME_R1, f"{THOUGHT} 1 to 2", "no <answer>"),
        (TIME_R1, f"{THOUGHT}<answer>1 to 2", "</answer> is missing"),
        (TIME_R1, f"{THOUGHT}<answer>1 to 2</answer> Yes.", "text after </answer>"),
        (TIME_R1, f"{THOUGHT} So: <answer>1 to 2</answer>", "text between the thought and <answer>"),
        (TVG_R1, f"{THOUGHT} [1, 2]", "no <time> after the thought"),
        (TVG_R1, f"{THOUGHT}<time>[1, 2]", "</time> is missing"),
        (TAR_TVG, f"{THOUGHT}<answer>1 to 2</answer>", "no <timestamp> in the thought"),
        (TAR_TVG, f"{THOUGHT}{THOUGHT}<answer>1 to 2</answer>", "a tag that stands twice"),
        (TAR_TVG, "<think><timestamp>1 to 2</think><answer>1 to 2</answer>", "a <timestamp> without its end"),
        (TAR_TVG, f"<think>{ANCHOR}</think><answer>{ANCHOR}1 to 2</answer>", "a <timestamp> outside the thought"),
        (TAR_TVG, f"<think>{ANCHOR}</think><answer>soon</answer>", "no time in the answer"),
        (TAR_TVG, f"<think>{ANCHOR}</think><answer>3 to 2</answer>", "start not before end"),
        (TAR_TVG, f"<think>{ANCHOR}</think><answer>0:01 - 0:02</answer>", "a time in another form than a to b"),
        (
            TAR_TVG,
            "<think><timestamp>2 to 1</timestamp></think><answer>1 to 2</answer>",
            "start not before end in a <timestamp>",
        ),
        (TAR_TVG, "<think><timestamp>soon</timestamp></think><answer>1 to 2</answer>", "no time in a <timestamp>"),
        (SETS, "at 1 to 2", "times, but no JSON list"),
        (SETS, "never", "no JSON list"),
        (SETS, "Here: [[1, 2]]", "text before the list"),
        (SETS, "[[1, 2", "the list has no end"),
        (SETS, "[[1, 2]] seconds", "text after the list"),
        (SETS, "[[2, 1]]", "start not before end"),
        (SETS, "[1, 2]", "a list in another form"),
        (AnswerFormat(Method.TIMELENS2, thought=True), "[[1, 2]]", "no thought"),
        (AnswerFormat(Method.TVG_R1, thought=False), "<time>1 to 2</time>", "a time in another form"),
        (AnswerFormat(Method.TIME_R1, thought=False), f"{THOUGHT}<answer>1 to 2</answer>", "text before <answer>"),
        (AnswerFormat(Method.TIME_R1, thought=False), "<answer><b>1 to 2</b></answer>", "a tag inside the answer"),
        (ORA_RL, "1 to 2", "no <answer>"),
        (ORA_RL, "So: <answer>1 to 2</answer>", "text before <answer>"),
        (ORA_RL, "<ANSWER>1 to 2</ANSWER>.", "text after </answer>"),
        (ORA_RL, "<answer>1 - 2</answer>", "a time in another form"),
        (ORA_RL, "<answer>2 to 1</answer>", "start not before end"),
        (ORA_RL, "<think><answer>1 to 2</answer></think><answer>1 to 2</answer>", "a tag that stands twice"),
        (AnswerFormat(Method.ORA_RL, thought=True), "<answer>1 to 2</answer>", "no thought"),
        (
            AnswerFormat(Method.ORA_RL, thought=False),
            f"{THOUGHT}<answer>1 to 2</answer>",
            "a thought before <answer>",
        ),
        (TIMELENS, "It never happens.", "no time in the answer"),
        (TIMELENS, "From 1 to 2 seconds.", "a time in another form"),
        (TIMELENS, "The event happens in 2.0 - 1.0 seconds.", "start not before end"),
        (TIMELENS, "The event happens in 1 - 2 seconds, 9 - 7 seconds.", "start not before end"),
        (AnswerFormat(Method.TIMELENS, thought=True), "The event happens in 1 - 2 seconds.", "no thought"),
        (TARO, f"{THOUGHT}<answer>1s to 2s</answer> Yes.", "text after </answer>"),
        (TARO, "<think>t<answer></think><answer>1s to 2s</answer>", "a tag that stands twice"),
        (AnswerFormat(Method.TARO, thought=False), "<answer>1 to 2</answer>", "a time in another form"),
        (MUSEG, f"{THOUGHT}<answer>1-2, 3-4</answer>", "a time in another form"),
        (MUSEG, f"{THOUGHT}<answer>never</answer>", "no time in the answer"),
        (AnswerFormat(Method.MUSEG, thought=False), "<answer>1-2 4-3</answer>", "start not before end"),
        (OMTG, f"{THOUGHT} 1 - 2 seconds", "no <time>"),
        (OMTG, f"{THOUGHT}<time>1 - 2 seconds</time><time>3 - 4", "</time> is missing"),
        (OMTG, f"{THOUGHT}<time>1 - 2 seconds</time> then <time>3 - 4</time>", "text around the <time> tags"),
        (OMTG, f"{THOUGHT}<time>1 - 2</time> <time>4 - 3</time>", "start not before end"),
        (OMTG, f"{THOUGHT}<time>1 to 2</time> and <time>3 - 4</time>", "a time in another form"),
    ],
)
def test_each_way_out_has_its_name(form: AnswerFormat, text: str, name: str) -> None:
    assert not read_strict(text, form).follows_format
    assert departure(text, form) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "nothing was written"),
        ("rises", "no <answer>"),
        ("<answer>rises", "</answer> is missing"),
        ("<answer>rises</answer>!", "text after </answer>"),
        ("<answer> </answer>", "an empty answer"),
        ("<answer><think></answer>", "a tag inside the answer"),
    ],
)
def test_inversion_tasks_have_theirs(text: str, name: str) -> None:
    assert read_inverted(text) is None and inverted_departure(text) == name


@pytest.mark.parametrize(
    ("form", "text", "name"),
    [
        (TIME_R1, f"{THOUGHT}<answer>0:12 - 0:15</answer>", "a time in another form"),
        (TIME_R1, f"{THOUGHT}<answer>9 to 7</answer>", "start not before end"),
        (TIME_R1, f"{THOUGHT}<answer>at once</answer>", "no time in the answer"),
        (TVG_R1, f"{THOUGHT}<time>1 to 2</time> <time>[1, 2]</time>", "a time in another form"),  # the first counts
        (TARO, f"{THOUGHT}<answer>1 to 2</answer>", "a time in another form"),
        (MUSEG, f"{THOUGHT}<answer>1-2 4-3</answer>", "start not before end"),
    ],
)
def test_a_time_that_cannot_be_read_in_a_good_format(form: AnswerFormat, text: str, name: str) -> None:
    answer = read_strict(text, form)
    assert answer.follows_format and answer.spans is None and time_departure(text, form) == name


TAGS = ["<think>", "</think>", "<answer>", "</answer>", "<time>", "</time>", "<timestamp>", "</timestamp>"]
TIMES = [
    "1.0 to 2.0",
    "1s to 2s",
    "1-2",
    "1 - 2 seconds",
    "The event happens in 1 - 2 seconds.",
    "[1, 2]",
    "[[1, 2]]",
    "3 to 2",
    "0:01 - 0:02",
]
PIECES = st.sampled_from([*TAGS, *TIMES, "so", " ", "\n", "<", "<|im_end|>"])


@given(pieces=st.lists(PIECES, max_size=9), form=st.sampled_from(FORMS))
def test_no_refused_text_goes_without_a_name(pieces: list[str], form: AnswerFormat) -> None:
    text = "".join(pieces)
    if not read_strict(text, form).follows_format:
        assert departure(text, form) not in ("", OTHERWISE)
    if read_inverted(text) is None:
        assert inverted_departure(text)
