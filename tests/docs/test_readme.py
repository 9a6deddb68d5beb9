"""The README does what it says: videos of one's own, and a reward of one's own, by its very words."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

import train
from tests.docs.pages import ROOT, Block, blocks
from tvg_lightning.__main__ import main
from tvg_lightning.data.moving_shapes.render import RenderSettings, render
from tvg_lightning.traces import read_traces

pytestmark = pytest.mark.slow  # every command, config and script of the pages

README = ROOT / "README.md"
RECIPE, TWIN = "configs/time_r1/recipe.yaml", "configs/time_r1/tiny/recipe.yaml"
RUN = Path("runs/tiny/time_r1/recipe")  # where the README says that the twin's run is
FEWER = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.logger", "false"]
FEWER += [
    "--trainer.num_sanity_val_steps",
    "0",
    "--data.batch_size",
    "2",
    "--model.init_args.grpo.num_generations",
    "2",
]


def section(heading: str) -> list[Block]:
    """The blocks below a heading of the README, which stand in the order in which its reader meets them."""
    text = README.read_text(encoding="utf-8")
    first = text[: text.index(f"## {heading}\n")].count("\n")
    last = first + text[text.index(f"## {heading}\n") + 3 :].partition("\n## ")[0].count("\n")
    return [block for block in blocks(README) if first < block.line <= last]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which nothing was done yet."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    return tmp_path


def write_files(found: list[Block]) -> None:
    for block in found:
        if block.file is not None and block.language in ("python", "yaml"):
            Path(block.file).write_text(block.text, encoding="utf-8")


def run(line: str) -> None:
    """A command of the README, with the twin behind the recipe as it says for CPUs, and fewer steps."""
    words = shlex.split(line)
    if words[:2] == ["python", "train.py"]:
        assert words[words.index(RECIPE) - 1] == "--config"
        words[words.index(RECIPE) + 1 : words.index(RECIPE) + 1] = ["--config", TWIN]
        train.main([*words[2:], *FEWER])
    else:
        assert words[:3] == ["python", "-m", "tvg_lightning"]
        main([word.replace("runs/time_r1/", f"{RUN}/") for word in words[3:]])


def own_videos(folder: Path) -> list[dict[str, Any]]:
    """Three videos with a query each, under names of one's own, in the README's form."""
    for _ in render(folder / "rendered", RenderSettings(train=3, held_out=1, compositional=1), num_workers=1):
        pass
    (folder / "data/mine/videos").mkdir(parents=True)
    lines: dict[str, dict[str, Any]] = {}
    for line in (folder / "rendered/train.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        if sample["video"] not in lines:
            name = "kitchen_01.mp4" if not lines else f"own_{len(lines)}.mp4"
            (folder / "rendered/videos" / sample["video"]).rename(folder / "data/mine/videos" / name)
            wanted = ("duration", "query", "windows")
            lines[sample["video"]] = {"video": name} | {key: sample[key] for key in wanted}
    written = "".join(json.dumps(line) + "\n" for line in lines.values())
    for split in ("train", "val"):
        (folder / f"data/mine/{split}.jsonl").write_text(written, encoding="utf-8")
    return list(lines.values())


def test_your_own_videos(folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    found = section("Your own videos, in ten lines")
    (example,) = [json.loads(block.text) for block in found if block.language == "json"]
    samples = own_videos(folder)
    assert len(samples) == 3 and all(example.keys() == sample.keys() for sample in samples)
    assert sum(len(block.text.splitlines()) for block in found) <= 10
    write_files(found)
    inspect, fit, ground = [line for block in found if block.language == "bash" for line in block.text.splitlines()]
    run(inspect)
    assert "3 records of 3 videos" in capsys.readouterr().out
    run(fit)
    assert str(RUN) in README.read_text(encoding="utf-8")
    assert len(list(read_traces(RUN / "traces/train-rank0.jsonl"))) == 8
    assert "mine after 1 updates: mIoU" in caplog.text
    run(ground)
    result = json.loads(Path("grounded/result.json").read_text(encoding="utf-8"))
    assert [answer["query"] for answer in result["answers"]] == ["The man opens the fridge."]
    assert Path("grounded/index.html").is_file()


def test_a_reward_of_your_own(folder: Path) -> None:
    found = section("A reward of your own, in twelve lines")
    assert sum(len(block.text.splitlines()) for block in found) <= 12
    own_videos(folder)
    write_files(found)
    write_files(section("Your own videos, in ten lines"))
    (fit,) = [block.text.strip() for block in found if block.language == "bash"]
    run(f"{fit} --config mine.yaml")
    traces = list(read_traces(RUN / "traces/train-rank0.jsonl"))
    assert traces
    for trace in traces:
        assert trace.rewards["brevity"] == pytest.approx(max(0.0, 1.0 - len(trace.text) / 400))
