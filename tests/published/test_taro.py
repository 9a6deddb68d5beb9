import json
from pathlib import Path

from tvg_lightning.presets import Scorer
from tvg_lightning.published.taro import read_taro
from tvg_lightning.schema import Span


def test_the_last_two_numbers_count_sorted() -> None:
    assert read_taro("<think>From 0.0s to 5.2s.</think><answer>9.5s to 7s</answer>") == [Span(7, 9.5)]
    assert read_taro("from 3 to 9 of 30") == [Span(9, 30)]  # its fault
    assert read_taro("00:05s to 00:09s") == [Span(0, 9)]
    assert read_taro("at 3 s") == read_taro("") == []


def test_rollouts_are_scored_as_by_its_evaluation(shared: Path) -> None:
    scorer = Scorer.of("taro", as_published=True)
    groups = json.loads((shared / "data/oracles/taro_reward_parts.json").read_text(encoding="utf-8"))["reward_groups"]
    for group in groups:
        for rollout in group["rollouts"]:
            answer = scorer.counted(scorer.read(rollout["text"]), group["duration"])
            assert [list(span) for span in answer.spans or ()] == [rollout["eval_window"]], rollout
            assert abs(scorer.iou(answer, [Span(*group["gt"])]) - rollout["eval_iou"]) < 1e-9
