"""Lines of progress with a clock that the test turns, on a terminal and in a file."""

import io

from tvg_lightning.progress import Progress, tracked


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def made(total: int | None, stream: io.StringIO, num_before: int = 0) -> tuple[Progress, Clock]:
    clock = Clock()
    return Progress("reading", total, "video", num_before, stream, clock), clock


def test_a_line_now_and_then_in_a_file() -> None:
    said = io.StringIO()
    progress, clock = made(100, said)
    for _ in range(100):
        clock.now_s += 2.0
        progress.update()
    progress.close()
    progress.close()
    lines = said.getvalue().splitlines()
    # the first after 5 s; 2 % of 200 s are less than the least, 10 s
    assert lines[:2] == [
        "reading: 3 of 100 videos (3%), 2.0 s a video, 3 min 14 s left",
        "reading: 8 of 100 videos (8%), 2.0 s a video, 3 min 4 s left",
    ]
    assert lines[-1] == "reading: 100 videos in 3 min 20 s" and len(lines) == 21


def test_a_night_leaves_some_hundred_lines() -> None:
    said = io.StringIO()
    progress, clock = made(30_000, said)
    for _ in range(30_000):
        clock.now_s += 1.0
        progress.update()
    assert 100 <= len(said.getvalue().splitlines()) <= 110  # 8 h 20 min, at most 5 min apart


def test_short_work_says_nothing_in_a_file() -> None:
    said = io.StringIO()
    progress, clock = made(3, said)
    clock.now_s += 4.9
    progress.update(3)
    progress.close()
    assert said.getvalue() == ""


def test_what_was_done_before_does_not_count_for_the_speed() -> None:
    said = io.StringIO()
    progress, clock = made(100, said, num_before=90)
    clock.now_s += 20.0
    progress.update(5, note="2 refused")
    assert said.getvalue() == "reading: 95 of 100 videos (95%), 4.0 s a video, 20 s left · 2 refused\n"


def test_an_end_before_the_end_is_said() -> None:
    said = io.StringIO()
    progress, clock = made(10, said)
    clock.now_s += 60.0
    progress.update(4)
    progress.close()
    assert said.getvalue().splitlines()[-1] == "reading: stopped at 4 of 10 videos (40%) in 1 min 0 s"


def test_without_a_total() -> None:
    said = io.StringIO()
    progress, clock = made(None, said)
    clock.now_s += 6.0
    progress.update(3)
    progress.close()
    assert said.getvalue().splitlines() == ["reading: 3 videos, 2.0 s a video", "reading: 3 videos in 6 s"]


def test_a_terminal_gets_one_line_drawn_anew() -> None:
    screen = Screen()
    progress, clock = made(2, screen)
    clock.now_s += 1.0
    progress.update()
    progress.update()  # too soon to be drawn
    out = io.StringIO()
    progress.write("a.mp4 is bad", out)
    progress.close()
    assert screen.getvalue() == (
        "\r\x1b[Kreading: 1 of 2 videos (50%), 1.0 s a video, 1 s left\r\x1b[K\r\x1b[Kreading: 2 videos in 1 s\n"
    )
    assert out.getvalue() == "a.mp4 is bad\n"


def test_items_pass_through() -> None:
    assert list(tracked(iter("abc"), "reading", "letter", 3)) == ["a", "b", "c"]
