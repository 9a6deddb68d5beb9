"""Videos that cannot be read: written down once, passed over, and in whole runs no reason to stop."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import train
from tests.builders import GOOD_TRACE, write_traces
from tests.doubles import losses
from tests.runs import changed, grpo, in_processes, stage, with_callback, write_config
from tvg_lightning.data.bad_videos import BadVideo, BadVideos, TooManyBadVideosError, read_bad_videos, replacements
from tvg_lightning.schema import Span


def bad(name: str, segment: Span | None = None, opens: bool = False) -> BadVideo:
    return BadVideo(name, "it hangs", 60.0004, segment, opens)


def files(count: int) -> list[str]:
    return [f"{chr(97 + k)}.mp4" if k < 26 else f"{k}.mp4" for k in range(count)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run" / "bad_videos.jsonl"


def test_each_is_written_once_and_known_after_a_restart(log: Path) -> None:
    videos = BadVideos(log, files(10))
    assert videos.find("a.mp4") is None and len(videos) == 0 and not log.exists()
    videos.note(bad("a.mp4"), position=7)
    videos.note(bad("a.mp4", Span(0.0, 1.0)), position=9)
    videos.note(bad("b.mp4", Span(90.0, 99.0), opens=True), position=8)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    known = {"path": "a.mp4", "reason": "it hangs", "seconds": 60.0, "segment": None, "opens": False, "position": 7}
    assert lines[0] == known and [line["position"] for line in lines] == [7, 8]
    again = BadVideos(log, files(10))
    assert len(again) == 2 and again.find("a.mp4") and again.find("a.mp4", Span(0.0, 1.0))
    assert again.find("b.mp4", Span(90.0, 99.0)) and again.find("b.mp4") is None


def test_a_part_is_not_judged_by_another(log: Path) -> None:
    """Not even by the whole: the segment that a replacement asks for may end before the damage."""
    videos = BadVideos(log, files(10))
    videos.note(bad("a.mp4", None, opens=True), 0)
    assert videos.find("a.mp4") and videos.find("a.mp4", Span(0.0, 1.0)) is None


def test_what_another_process_finds_is_counted_and_not_written_twice(log: Path) -> None:
    ours, theirs = BadVideos(log, files(4)), BadVideos(log, files(4))
    theirs.note(bad("a.mp4"), 0)
    theirs.note(bad("b.mp4"), 1)
    with pytest.raises(TooManyBadVideosError, match="3 of 4"):
        ours.note(bad("c.mp4"), 2)
    assert [found.path for found in read_bad_videos(log)] == ["a.mp4", "b.mp4", "c.mp4"]


def test_without_a_log_they_are_remembered() -> None:
    videos = BadVideos(None, ())
    for name in files(30):  # none is of the training videos: no share of them is bad
        videos.note(bad(name), 0)
    assert len(videos) == 30 and videos.find("a.mp4")


def test_a_torn_line_is_passed_over_and_ended(log: Path) -> None:
    BadVideos(log, files(10)).note(bad("a.mp4"), 0)
    log.write_bytes(log.read_bytes() + b'{"path": "b.mp4", "rea')
    videos = BadVideos(log, files(10))
    assert len(videos) == 1
    videos.note(bad("c.mp4"), 1)
    assert [found.path for found in read_bad_videos(log)] == ["a.mp4", "c.mp4"]


def test_the_run_stops_past_the_share(log: Path) -> None:
    videos = BadVideos(log, files(4), max_share=0.5)
    videos.note(bad("a.mp4"), 0)
    videos.note(bad("b.mp4"), 1)
    with pytest.raises(TooManyBadVideosError, match=r"3 of 4 videos cannot be read .* allowed is 0\.5.*jsonl says"):
        videos.note(bad("c.mp4"), 2)
    with pytest.raises(TooManyBadVideosError, match="3 of 4"):  # the resumed run knows them
        BadVideos(log, files(4), 0.5)
    assert len(BadVideos(log, files(4), 0.75)) == 3


@pytest.mark.parametrize("is_one_good", [True, False])
def test_the_run_stops_where_nothing_can_be_read(log: Path, is_one_good: bool) -> None:
    videos = BadVideos(log, [f"{k}.mp4" for k in range(10_000)])
    if is_one_good:
        videos.note_good()
    for k in range(19):
        videos.note(bad(f"{k}.mp4"), k)
    if is_one_good:
        videos.note(bad("19.mp4"), 19)
    else:
        with pytest.raises(TooManyBadVideosError, match="none so far could be read"):
            videos.note(bad("19.mp4"), 19)


def test_replacements_are_every_other_one_once() -> None:
    order = [4, 2, 0, 1, 3]
    for place, index in enumerate(order):
        others = list(replacements(order, place))
        assert sorted([*others, index]) == sorted(order)
    assert list(replacements(order, 3)) == [3, 4, 2, 0]


# ---- whole runs

REASONS = {"cut": "cannot be read", "text": "cannot be read", "hangs": "took more than 3 s", "crashes": "(SIGSEGV)"}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """Ten videos with a sample each: two are damaged (20 %), one hangs the decoder, one crashes it."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(shapes / "videos", folder / "videos")
    shutil.copy(shapes / "held_out.jsonl", folder)
    samples = [json.loads(line) for line in (shapes / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    samples = list({sample["video"]: sample for sample in samples}.values())
    content = (folder / "videos" / samples[0]["video"]).read_bytes()
    for name in REASONS:
        size = {"cut": len(content) // 2, "text": 100}.get(name, len(content))
        (folder / "videos" / f"{name}.mp4").write_bytes(content[:size])
        samples.append({**samples[0], "id": name, "video": f"{name}.mp4"})
    (folder / "train.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples), encoding="utf-8")
    write_traces(folder / "targets.jsonl", [replace(GOOD_TRACE, sample_id=s["id"]) for s in samples])
    return folder


def config_of(folder: Path, damaged: Path, **data: Any) -> Path:
    """Six rollouts of two prompts, so that every video is drawn, then as many batches of targets."""
    stages = [stage("explore", 6, **grpo(generation={"max_new_tokens": 16})), stage("imitate", 6, sft=True)]
    path = write_config(folder, damaged, stages=stages)
    with changed(path) as config:
        config["data"] |= {"num_workers": 2, "video_timeout_s": 3.0, "cache": None, **data}
    return path


def last_metrics(folder: Path) -> dict[str, float]:
    """The last value of each metric."""
    metrics: dict[str, float] = {}
    (file,) = folder.rglob("metrics.csv")
    with file.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            metrics |= {name: float(value) for name, value in row.items() if value}
    return metrics


def test_a_run_passes_over_what_it_cannot_read(damaged: Path, tmp_path: Path) -> None:
    """Read by the run itself, which no video can hang: the two that are damaged stand for no loss of a step."""
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    path = str(config_of(tmp_path, damaged, num_workers=0))
    train.main(["fit", "--config", path, "--trainer.logger", json.dumps(logger)])
    assert len(losses(tmp_path / "losses.jsonl")) == 12 and last_metrics(tmp_path)["train/data/bad_videos"] == 2
    bad = {Path(video.path).stem: video.reason for video in read_bad_videos(tmp_path / "bad_videos.jsonl")}
    assert bad.keys() == {"cut", "text"} and all("cannot be read" in reason for reason in bad.values())


@pytest.mark.slow
@pytest.mark.usefixtures("doubles")
def test_damaged_videos_cost_their_time_and_no_run(damaged: Path, tmp_path: Path) -> None:
    """Two runs, one of them read otherwise, killed and resumed: the same losses to the last bit."""
    one, two = tmp_path / "one", tmp_path / "two"
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(one), "version": ""}}
    train.main(["fit", "--config", str(config_of(one, damaged)), "--trainer.logger", json.dumps(logger)])
    whole = losses(one / "losses.jsonl")
    metrics = last_metrics(one)
    assert len(whole) == 12 and metrics["train/data/bad_videos"] == 4 and metrics["train/data/wait_s"] > 0
    assert metrics["train/data/killed"] >= 1 and metrics["train/data/died"] >= 1

    other = config_of(two, damaged, num_workers=1, prefetch=0)
    killed = in_processes(two, "fit", "--config", other, *with_callback("KillAt", batch=7))
    assert killed.codes == [-9], killed.said
    assert losses(two / "losses.jsonl") == whole[:8]
    last = str(two / "checkpoints" / "last.ckpt")
    train.main(["fit", "--config", str(config_of(two, damaged)), "--ckpt_path", last])
    resumed = losses(two / "losses.jsonl")[8:]
    assert resumed and resumed == whole[resumed[0][1] :]

    for folder in (one, two):
        bad = {Path(video.path).stem: video for video in read_bad_videos(folder / "bad_videos.jsonl")}
        assert {name: REASONS[name] in video.reason for name, video in bad.items()} == dict.fromkeys(REASONS, True)


def test_what_cannot_be_read_is_answered_as_missing(damaged: Path, tmp_path: Path) -> None:
    """Nothing stands in for it: a record without a span, and IoU 0 in the metrics."""
    lines = (damaged / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "asked.jsonl").write_text("".join([lines[0], lines[-4]]), encoding="utf-8")
    config = config_of(tmp_path, damaged, num_workers=0, predict=str(tmp_path / "asked.jsonl"))
    train.main(["predict", "--config", str(config)])
    text = (tmp_path / "predictions-rank0.jsonl").read_text(encoding="utf-8")
    read, unread = (json.loads(line) for line in text.splitlines())
    assert read["text"] and read["frame_times_s"] and "error" not in read
    assert (unread["qid"], unread["text"], unread["span"], unread["iou"], unread["frame_times_s"]) == (
        "cut", "", None, 0.0, [],
    )  # fmt: skip
    assert "cut.mp4: cannot be read" in unread["error"]
    assert not (tmp_path / "bad_videos.jsonl").exists(), "what is tried again next time is not written down"
