import json
from pathlib import Path

import pytest

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
    with pytest.raises(ValueError, match=r"data\.max_bad_share"):
        BadVideos(log, files(4), 1.5)


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
