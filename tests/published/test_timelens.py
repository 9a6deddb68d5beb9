"""The published parsers, on texts of every kind: by hand, and against what the authors' own code reads."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tvg_lightning.published.lmms_charades import read_lmms_charades
from tvg_lightning.published.museg import read_museg
from tvg_lightning.published.omtg import read_omtg_benchmark
from tvg_lightning.published.taro import read_taro
from tvg_lightning.published.time_r1 import read_time_r1
from tvg_lightning.published.timelens import read_ora_rl, read_timelens, read_timelens_training
from tvg_lightning.schema import Span
from tvg_lightning.strict_formats import read_ora_rl as read_ora_rl_training
from tvg_lightning.strict_formats import read_taro as read_taro_training

Read = Callable[[str], list[Span]]
READERS: list[Read] = [
    read_timelens, read_timelens_training, read_ora_rl, read_time_r1, read_taro, read_museg, read_lmms_charades,
    read_omtg_benchmark,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "timelens", "time_r1", "taro", "lmms_charades"),
    [
        ("The event happens in 1.5 - 4 seconds.", [[1.5, 4]], [], [[1.5, 4]], [[1.5, 4]]),
        ("From 4 to 1.5", [[4, 1.5]], [[4, 1.5]], [[1.5, 4]], [[1.5, 4]]),
        ("<answer>1.5s to 4.5s</answer>", [[1, 4]], [], [[1.5, 4.5]], [[1.5, 4.5]]),  # a glued unit cuts the decimals
        ("between 1.5 and 4 s", [[1.5, 4]], [[1.5, 4]], [[1.5, 4]], []),
        ("00:31 - 01:06", [[31, 66]], [], [[1, 6]], [[31, 66]]),
        ("at 00:31 he turns, 1 - 2", [[1, 2]], [], [[1, 2]], [[1, 2]]),
        ("<think>1 to 2</think><answer>3 to 4</answer>", [[1, 2], [3, 4]], [[3, 4]], [[3, 4]], [[1, 2]]),
        ("[[1.5, 4], [6, 9]]", [[1.5, 4], [6, 9]], [], [[6, 9]], []),
        ("-5 - 8", [[5, 8]], [], [[5, 8]], [[5, 8]]),
        ("it is absent", [], [], [], []),
    ],
)
def test_by_hand(
    text: str,
    timelens: list[list[float]],
    time_r1: list[list[float]],
    taro: list[list[float]],
    lmms_charades: list[list[float]],
) -> None:
    readers = (read_timelens, read_time_r1, read_taro, read_lmms_charades)
    assert [[list(span) for span in read(text)] for read in readers] == [timelens, time_r1, taro, lmms_charades]


def test_every_parser_reads_what_the_authors_code_reads(shared: Path) -> None:
    """52 kinds of text through ten parsers; ours cuts the end token (``strict_formats``)."""
    cases = json.loads((shared / "data/oracles/timelens_parse_and_score.json").read_text(encoding="utf-8"))["cases"]
    every: dict[str, Read] = {
        "timelens_eval_all": read_timelens,
        "timelens_train_all": read_timelens_training,
        "lmms_timelens_all": read_timelens,
        "orarl_eval_all": read_ora_rl,
        "lmms_charades": read_lmms_charades,
    }
    one: dict[str, Read] = dict.fromkeys(("time_r1_eval", "timezero_eval", "videochat_r1_eval"), read_time_r1)
    one["taro_eval"] = read_taro
    assert len({case["kind"] for case in cases}) == 52
    for case in cases:
        text, out = case["text"], case["out"]
        for key, read in every.items():
            assert [list(span) for span in read(text)] == out[key], (key, text)
        for key, read in one.items():
            windows = [list(span) for span in read(text)]
            assert (windows or [[None, None]]) == [out[key]], (key, text)
        for key, spans in (
            ("orarl_train", read_ora_rl_training(text, None).spans),
            ("taro_train", read_taro_training(text, True).spans),
        ):
            wanted = out[key] if out[key] and out[key][0] < out[key][1] else None
            assert (None if spans is None else list(spans[0])) == wanted, (key, text)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "unit", ["9", "1 ", "1 - ", "1:", "1.", "<answer>", "<time>1 - ", "start 1 ", "end ", "1s - ", "[1,", "12:34 ", " "]
)
def test_texts_of_any_length_are_read_at_once(read: Read, unit: str) -> None:
    """In half a second; quadratic time would be many."""
    started = time.process_time()
    read(unit * (20_000 // len(unit)))
    assert time.process_time() - started < 2.0
