import json
from pathlib import Path

import pytest

from tvg_lightning.parsing import read_strict
from tvg_lightning.rewards.parse_penalty import parse_penalty_reward
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span, Task

TIMELENS2 = AnswerFormat(Method.TIMELENS2)


@pytest.mark.parametrize(
    ("spans", "reward"), [(None, -1.0), ([], 0.0), ([Span(1, 2)], 0.0), ([Span(1, 2), Span(4, 5)], 0.0)]
)
def test_only_what_cannot_be_read_costs(spans: list[Span] | None, reward: float) -> None:
    assert parse_penalty_reward(spans) == reward


def test_the_whole_reward_of_timelens2(shared: Path) -> None:
    """Every text of theirs that both readers understand alike, and every one that neither does, but for ``[]``."""
    oracle = json.loads((shared / "data/oracles/timelens2_rewards.json").read_text(encoding="utf-8"))
    rewards = Rewards(TIMELENS2, RewardWeights.published(Method.TIMELENS2))
    num_read = num_unread = 0
    for case in oracle["text_cases"]:
        windows = tuple(Span(*map(float, window)) for window in case["gt"])
        spans = read_strict(case["text"], TIMELENS2).spans
        theirs = tuple(Span(*map(float, window)) for window in case["accepted"] or ()) or None
        if case["reward"] == "nan" or spans != theirs:
            continue
        sample = Sample("a", "a.mp4", 1000.0, "it moves", windows)
        ours = rewards.score(case["text"], Task.TVG, sample).total
        assert ours == pytest.approx(case["reward"], abs=1e-6), case["id"]
        num_read += spans is not None
        num_unread += spans is None
    assert num_read > 5 and num_unread > 5
