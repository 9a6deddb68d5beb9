"""The table of the arms by hand, and the configs of all arms as train.py takes them."""

from pathlib import Path

import pytest

from benchmarks.thoughts import ARMS, CONFIG, score_rows
from train import main
from tvg_lightning.tools.compare import Answered


def test_a_table_of_two_seeds_by_hand() -> None:
    first = {"a": Answered("a.mp4", "plain", 0.5), "b": Answered("b.mp4", "relation", 0.0)}
    second = {"a": Answered("a.mp4", "plain", 0.5), "b": Answered("b.mp4", "relation", 1.0)}
    head, rule, row = score_rows({"thought": [first, second]}, {"thought": [1.0, 2.0]}).split("\n")
    assert head == "| mIoU | all | plain | relation | M tokens |" and rule == "|---|---|---|---|---|"
    assert row == "| thought | 0.500 ± 0.354 | 0.500 ± 0.000 | 0.500 ± 0.707 | 1.50 |"


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_is_a_config_of_a_run(arm: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", str(CONFIG), *ARMS[arm], "--print_config"])
    assert ended.value.code == 0 and "GRPOModule" in capsys.readouterr().out
    assert Path(CONFIG).exists()
