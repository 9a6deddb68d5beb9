import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.parsing import read_all
from tvg_lightning.schema import Method, Span
from tvg_lightning.timestrings import names_time, stated_windows

# ---- times and what stands between them


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("12.0 to 15.5", [(12, 15.5)]),
        ("From 1 to 2 seconds.", [(1, 2)]),
        ("12.5s - 15s", [(12.5, 15)]),
        ("12.5–15 s", [(12.5, 15)]),
        ("3-4", [(3, 4)]),
        ("3–4 and 7—9", [(3, 4), (7, 9)]),
        ("between 3 and 4 seconds, and between 5 and 6 seconds", [(3, 4), (5, 6)]),
        ("3 and 4 seconds", [(3, 4)]),
        ("between 1 and 2, then 5 to 9", [(1, 2), (5, 9)]),
        ("12.5 sec. to 15 sec.", [(12.5, 15)]),
        ("1500 ms to 2500 ms", [(1.5, 2.5)]),
        (".5 to 1e1", [(0.5, 10)]),
        ("**12.5** to **15** seconds", [(12.5, 15)]),
        (r"\( 12.5 \) to $15$", [(12.5, 15)]),
        # prose
        ("It happens between 1 minute 5 seconds and 1:20", [(65, 80)]),
        ("1 minute and 50 seconds to 2 minutes", [(110, 120)]),
        ("from 1h2m3s to 1h 2m 10s", [(3723, 3730)]),
        ("from 1 hour, 1 minute and 1 s to 2 hours", [(3661, 7200)]),
        ("1 to 2 minutes", [(60, 120)]),
        ("from 30 to 1 minute 5 seconds", [(30, 65)]),
        ("from 30 to 1 minute", [(30, 60)]),
        ("1 s to 2 minutes", [(1, 120)]),
        ("between 1 minute and 80 seconds", [(60, 80)]),
        ("from the 12th second until 15.5s", [(12, 15.5)]),
        ("from second 12 to about second 15", [(12, 15)]),
        ("12-second mark to the 15-second mark", [(12, 15)]),
        ("starting at 3.2 seconds and lasting until 7", [(3.2, 7)]),
        ("It starts at 3.2 s, when the man (number 7) sits down, and ends at 7 s.", [(3.2, 7)]),
        ("at 12.5, ending at 15", [(12.5, 15)]),
        ("0:12 → 0:15, then 0:20 --> 0:25", [(12, 15), (20, 25)]),
        # clocks
        ("0:59 to 1:01", [(59, 61)]),
        ("1:05 to 80", [(65, 80)]),
        ("[[01:00:00, 01:00:01.5]]", [(3600, 3601.5)]),
        ("[[00:00:05,01:02:03]]", [(5, 3723)]),
        ("00:00:12,500 --> 00:00:15,000", [(12.5, 15)]),
        ("75:30 - 120:00 min", [(4530, 7200)]),
        # lists, brackets, keys
        ("[12, 15.5]", [(12, 15.5)]),
        ("[1.5,2.5]", [(1.5, 2.5)]),
        ("[-0.5, 3]", [(-0.5, 3)]),
        ("[[1, 2], [3, 4.5]]", [(1, 2), (3, 4.5)]),
        ("```json\n[\n  [1.0, 2.0],\n  [3.0, 4.0]\n]\n```", [(1, 2), (3, 4)]),
        ("[[1, 2, 0.9], [3, 4, 0.8]]", [(1, 2), (3, 4)]),  # with a score
        ("[3], [5, 9]", [(5, 9)]),
        ('["00:10", "01:05"]', [(10, 65)]),
        ("<1.5, 2>, <3, 4>", [(1.5, 2), (3, 4)]),
        ("Start: 55.0s, End: 59.0s", [(55, 59)]),
        ("start=3, end=9", [(3, 9)]),
        ("<start>3</start><end>5</end>", [(3, 5)]),
        ('[{"start":"00:12.50","end":"00:15.00"},{"start":20,"end":25}]', [(12.5, 15), (20, 25)]),
        ('{"start_time": 1, "label": "sit", "end_time": 21.8}', [(1, 21.8)]),
        # as stated
        ("5 to 3", [(5, 3)]),
        ("[[5, 5]]", [(5, 5)]),
    ],
)
def test_windows(text: str, windows: list[tuple[float, float]]) -> None:
    assert [tuple(window) for window in stated_windows(text)] == windows


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", []),
        ("9 10", []),  # blanks alone make no window
        ("only 12 seconds", []),
        ("12 seconds. 15 seconds", []),
        ("starting at 3 and lasting 4 seconds", []),  # the second is a length
        ("video1 to 2x", []),
        ("v1.2.3 to 4", []),
        ("1/2 and #3", []),
        ("1:2:3:4 to 5", []),
        ("frame 30 of 64", []),
        ("frames 30 to 64, which is 1.0 to 2.1 s", [(1, 2.1)]),
        ("12 to 14 frames", []),
        ("from 20% to 40%", []),
        ("20 to 40 percent", []),
        ("at 20% (12.5 s) to 40% (15 s)", []),
        ("2 men and 3 dogs", []),
        ("the 3 dogs jump from 12 to 14 seconds", [(12, 14)]),
        ("2 and 3 are the men, 12 to 14", [(12, 14)]),  # a bare "and" gives way to a surer window
        ("12 and 14 s, 20 and 25 s, 2 and 3 men", [(12, 14), (20, 25)]),
        ("1. 2.3 - 4.5\n2. 5 - 6.5", [(2.3, 4.5), (5, 6.5)]),
        ("1) 2.3 - 4.5", [(2.3, 4.5)]),
        ("1, 2.3 - 4.5", [(2.3, 4.5)]),
        ("Event 1: 12 - 15", [(12, 15)]),
        ("Event 1 - 12 to 15", [(12, 15)]),
        ("Segment 3\n- 20 - 25\n- 30 - 35", [(20, 25), (30, 35)]),
        ("82, 150, 0.9", [(82, 150)]),
        ("1 to " + "9" * 400, []),  # not finite
    ],
)
def test_numbers_that_are_no_times(text: str, windows: list[tuple[float, float]]) -> None:
    assert [tuple(window) for window in stated_windows(text)] == windows


@pytest.mark.parametrize(
    "text", ["١ to ٢", "１２ to １５", "1 ſ to 2 ſ", "² to ³", "1\u2028to\u20282", "\ud800 1 to 2"]
)
def test_foreign_characters_never_raise(text: str) -> None:
    assert len(stated_windows(text)) <= 1


# ---- other ways to write the same window

WRITTEN: dict[tuple[float, float], list[str]] = {
    (65, 80): [
        # minutes whose seconds have no unit, or that are written otherwise
        "1 min 5 to 1 min 20", "1 minute 5 - 1 minute 20", "[1 min 5, 1 min 20]", "1 min. 5 to 1 min. 20",
        "from 1 min 5 (start) to 1 min 20 (end)", "Start: 1 min 5, End: 1 min 20", "between 1 min 5 and 1 min 20",
        "1m05 to 1m20", "1min5s-1min20s", "1 m 5 s to 1 m 20 s", "1 minute and 5 seconds to 1 minute and 20 seconds",
        "1m:05s - 1m:20s", "1'05\" to 1'20\"", "1′05″–1′20″", "1’05” to 1’20”", "1 min 5 sec. to 1 min 20 sec.",
        "1分5秒到1分20秒", "1分05秒至1分20秒", "1分5到1分20", "1分５秒～1分２０秒", "1分5秒から1分20秒まで",
        "1분 5초부터 1분 20초까지", "von 1 Minute 5 bis 1 Minute 20", "1 Min. 5 Sek. bis 1 Min. 20 Sek.",
        "de 1 minute 5 à 1 minute 20", "1 minute et 5 secondes à 1 minute et 20 secondes", "ab 1:05 bis 1:20 Uhr",
        r"$1\,\text{min}\,5\,\text{s}$ to $1\,\text{min}\,20\,\text{s}$", "0:1:5 - 0:1:20",
    ],
    (12.5, 18.3): [
        # decimal commas
        "12,5 to 18,3", "12,5-18,3", "12,5 – 18,3 s", "12,5s to 18,3s", "between 12,5 and 18,3", "12,5 and 18,3",
        "Start: 12,5, End: 18,3", "starts at 12,5 s and ends at 18,3 s", "[12,5 - 18,3]", "[12,5; 18,3]",
        "[12,5, 18,3]", "von 12,5 bis 18,3 Sekunden", "zwischen 12,5 und 18,3", "de 12,5 à 18,3 secondes",
        "entre 12,5 s et 18,3 s", "de 12,5 a 18,3 segundos", "entre 12,5 y 18,3 segundos", "１２．５ ～ １８．３",
        "12·5 to 18·3", "00:12,5 - 00:18,3", "$12{,}5$ to $18{,}3$", "12.5 ± 0.5 to 18.3 ± 0.5",
        "| Start | End |\n|---|---|\n| **12,5** | **18,3** |",
    ],
    (12, 18): [
        # words and brackets in between
        "12.0 (start) to 18.0 (end)", "12.0s [start] → 18.0s [end]", "12.0 (start), 18.0 (end)", "12 start to 18 end",
        "12.0 s (the man sits) to 18.0 s (he stands)", "12.0 to (about) 18.0", "(start) 12.0 to (end) 18.0",
        "12.0: start, 18.0: end", "12.0 is the start and 18.0 is the end", "12. to 18.", "[12., 18.]",
        "12 s. to 18 s.", "12.0 => 18.0", "12--18", "12 <= t <= 18", "12 ≤ t ≤ 18", "12 to approx. 18",
        # tables
        "| Start | End |\n|:--|--:|\n| 12.0 | 18.0 |", "Start | End\n--- | ---\n12 s | 18 s",
        "Start\tEnd\n12.0\t18.0",
        "| # | Event | From | To | Length |\n|-|-|-|-|-|\n| 1 | 3 men sit | 0:12 | 0:18 | 6 s |",
        "||End time (s)|Start time (s)|\n|-|-|-|\n|a|18|12|", "| Start | 12.0 |\n|---|---|\n| End | 18.0 |",
        "| 序号 | 开始时间（秒） | 结束时间（秒） |\n|---|---|---|\n| 1 | 12.0 | 18.0 |",
        "| Von | Bis |\n|---|---|\n| 12 | 18 |",
        # LaTeX
        r"\boxed{\text{12.0 to 18.0}}", r"\boxed{12.0, 18.0}", r"\boxed{\mathbf{12.0} \text{ to } \mathbf{18.0}}",
        r"$12.0\,\text{s}$ to $18.0\,\text{s}$", r"\( 12.0\ \mathrm{s} \rightarrow 18.0\ \mathrm{s} \)",
        r"$$\boxed{\text{12.0} \text{–} \text{18.0}}$$", r"\[ \left[12.0, 18.0\right] \]", r"$12 \le t \le 18$",
        r"\boxed{12.0} to \boxed{18.0}", r"12.0~s to 18.0~s", r"$t_{\text{start}} = 12$, $t_{\text{end}} = 18$",
        r"\boxed{\text{12.0 s to 18.0 s", r"$12.0 \sim 18.0$",
        # full-width marks
        "００：１２－００：１８", "［１２．０，１８．０］", "【12.0，18.0】", "（12.0、18.0）", "12～18", "12〜18",
        "12，18",
        # Chinese
        "从12秒到18秒", "12秒至18秒。", "在视频的第12秒到第18秒之间", "12秒和18秒之间", "约12秒左右到18秒左右",
        "12秒，18秒", "开始时间：12.0秒，结束时间：18.0秒", "开始于12秒，结束于18秒", "12秒开始，18秒结束",
        "从12秒开始，一直持续到18秒", "自12秒起至18秒止", "12秒——18秒", "從12秒開始，到18秒結束",
        "{“开始”: 12, “结束”: 18}", "片段1：12到18",
        # Japanese
        "12秒から18秒まで", "12秒から18秒の間です", "開始：12秒、終了：18秒", "12秒に始まり、18秒に終わります",
        "約12秒目〜18秒目", "12秒から始まり、18秒で終わる", "12秒と18秒の間",
        # Korean
        "12초부터 18초까지", "12초에서 18초 사이", "시작 시간: 12.0초, 종료 시간: 18.0초",
        "12초에 시작하여 18초에 끝납니다", "약 12초 ~ 약 18초", "12초와 18초 사이", "00:12부터 00:18까지",
        # German
        "von 12 bis 18 Sekunden", "Von Sekunde 12 bis Sekunde 18", "zwischen 12 s und 18 s",
        "von der 12. bis zur 18. Sekunde", "Beginn: 12 s, Ende: 18 s",
        "Es beginnt bei 12 Sekunden und endet bei 18 Sekunden.", "etwa 12 bis etwa 18 s",
        # French
        "de 12 à 18 secondes", "Entre 12 et 18 secondes", "de la 12e à la 18e seconde", "Début : 12 s, Fin : 18 s",
        "L'action commence à 12 s et se termine à 18 s.", "de 12 s jusqu'à 18 s",
        # Spanish, Italian, Portuguese
        "de 12 a 18 segundos", "del segundo 12 al segundo 18", "desde 12 hasta 18",
        "comienza en 12 s y termina en 18 s", "da 12 a 18 secondi", "tra 12 e 18 secondi",
        "começa em 12 s e termina em 18 s", "de 12 até 18",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("window", "text"), [(window, text) for window, texts in WRITTEN.items() for text in texts])
def test_one_window_however_it_is_written(window: tuple[float, float], text: str) -> None:
    (found,) = stated_windows(text)
    assert found == pytest.approx(window)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        # commas between digits: part of a number, or of a list
        ("1,234.5 to 1,240.0", [(1234.5, 1240)]),
        ("1,200 - 1,300 seconds", [(1200, 1300)]),
        ("1,234,567 to 1,234,570", [(1234567, 1234570)]),
        ("0,500 to 1,250", [(0.5, 1.25)]),  # the first is no group of digits, so the second is none
        ("von 1,250 bis 2,500 Sekunden", [(1.25, 2.5)]),
        ("1.234,5 bis 1.240,0", [(1234.5, 1240)]),
        ("1’234.5 to 1’240", [(1234.5, 1240)]),
        ("00:12,500 --> 00:15,000", [(12.5, 15)]),
        ("0,5-1,5 min", [(30, 90)]),
        ("12,5-18,3, then 20,1-25", [(12.5, 18.3), (20.1, 25)]),
        ("[12,18]", [(12, 18)]),
        ("[100,200]", [(100, 200)]),
        ("[12,18 s]", [(12, 18)]),
        ("12,18", [(12, 18)]),
        ("12.5,15.3", [(12.5, 15.3)]),
        ("[[1,2],[3,4]]", [(1, 2), (3, 4)]),
        ("12,18; 20,25", [(12, 18), (20, 25)]),
        ("1-2,3-4,5-6", [(1, 2), (3, 4), (5, 6)]),
        ("12,18,0.9", [(12, 18)]),
        ("It lasts 3,7 seconds", []),
        # a minus: a sign, a dash or a bullet
        ("-5 to 8", [(-5, 8)]),
        ("from −5 to 8", [(-5, 8)]),
        ("The event happens in -5 - 12 seconds.", [(-5, 12)]),
        ("[-5, -3]", [(-5, -3)]),
        ("-5 - -3", [(-5, -3)]),
        ("5 to -8", [(5, -8)]),
        ("minus 5 to 8", [(-5, 8)]),
        ("-0:05 to 0:08", [(-5, 8)]),
        ("-1 min 5 to 2 min", [(-65, 120)]),
        ("-1 to 2 minutes", [(-60, 120)]),
        ("从-5秒到8秒", [(-5, 8)]),
        ("1) -5 to 8", [(-5, 8)]),
        ("12 -15", [(12, 15)]),
        ("(12) -15", [(12, 15)]),
        ("Event 1 -12 to 15", [(12, 15)]),
        ("Two windows:\n-12 to 15\n-20 to 25", [(12, 15), (20, 25)]),
        # clocks of one digit
        ("0:5 - 0:9", [(5, 9)]),
        ("[0:5, 0:12]", [(5, 12)]),
        ("1:5 - 80", []),  # may be 5 to 80 of part 1
        ("1:2:3:4 - 5", []),
        # minutes
        ("30s to 1 min 20", [(30, 80)]),
        ("1h30 to 1 h 45", [(5400, 6300)]),
        ("1小时2分から1時間3分", [(3720, 3780)]),
        ("1分半到3分钟", [(90, 180)]),
        ("2到3分钟", [(120, 180)]),
        ("5′ to 8′", [(300, 480)]),
        ("| Start (min) | End (min) |\n|---|---|\n| 1.5 | 2 |", [(90, 120)]),
        ("0 - 1 min 2 - 3 min", [(0, 60), (120, 180)]),
        ("from 1 min to 2 min 30 people walk", [(60, 120)]),
        ("1 min 75 to 2 min", []),
        ("1 h 75 min to 2 h", []),
        ("500 to 1000 ms", [(0.5, 1)]),
        # which time a word belongs to
        ("12 (start), 18 (end); 20 (start), 25 (end)", [(12, 18), (20, 25)]),
        ("12 - 18, start 20 end 25", [(12, 18), (20, 25)]),
        ("12秒から18秒まで、20秒から25秒まで", [(12, 18), (20, 25)]),
        ("| Start | End |\n|---|---|\n| 12 | |\n| 20 | 25 |", [(20, 25)]),
        (r"From 3 to 5 he sits. So: \boxed{12.0, 18.0}", [(3, 5), (12, 18)]),
        # no windows
        ("1. to 18 s", []),
        ("1. Until 15 seconds nothing happens", []),
        ("Clip 3. - 5 - 8", [(5, 8)]),
        ("5*3 to 8*3", []),
        (r"20\% to 40\%", []),
        ("百分之20到百分之40", []),
        ("20％～40％", []),
        ("12帧到18帧", []),
        ("von 20 Prozent bis 40 Prozent", []),
        ("| Start frame | End frame |\n|---|---|\n| 30 | 60 |", []),
        ("3个人和2只狗", []),
        ("12秒开始，持续6秒", []),
        ("2秒から6秒間", []),  # the second is a length
    ],
)
def test_windows_of_marks_and_units_that_have_two_meanings(text: str, windows: list[tuple[float, float]]) -> None:
    assert [tuple(window) for window in stated_windows(text)] == windows


# ---- the formats that the TimeLens instructions ask for


class Format(NamedTuple):
    asked: str  # the words of the instruction that no other instruction has
    head: str
    window: str
    between: str = ", "
    tail: str = ""
    heads: str | None = None  # the head where there are several windows
    num_clock_parts: int = 0  # 2: mm:ss, 3: hh:mm:ss, 0: seconds

    def time(self, hundredths: int) -> str:
        if not self.num_clock_parts:
            return str(hundredths // 100) if hundredths % 100 == 0 else str(hundredths / 100)
        minutes, seconds = divmod(hundredths // 100, 60)
        if self.num_clock_parts == 2:
            return f"{minutes:02d}:{seconds:02d}"
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"

    def write(self, windows: list[tuple[int, int]]) -> str:
        head = self.heads if len(windows) > 1 and self.heads is not None else self.head
        written = [self.window.format(self.time(start), self.time(end)) for start, end in windows]
        return head + self.between.join(written) + self.tail

    def read(self, text: str) -> list[list[float]]:
        """The windows of a text known to have this format: fill in the blanks between head and tail."""
        head = next(head for head in (self.head, self.heads) if head is not None and text.startswith(head))
        assert text.endswith(self.tail)
        body = text[len(head) : len(text) - len(self.tail)]
        blanks = re.escape(self.window).replace(r"\{\}", r"(\d[\d.:]*)")
        matches = list(re.finditer(blanks, body))
        assert self.between.join(match[0] for match in matches) == body, text  # nothing was left out
        return [[self.to_seconds(time) for time in match.groups()] for match in matches]

    def to_seconds(self, time: str) -> float:
        if not self.num_clock_parts:
            return float(time)
        parts = [int(part) for part in time.split(":")]
        assert len(parts) == self.num_clock_parts
        return float(sum(part * 60**k for k, part in enumerate(reversed(parts))))


FORMATS = [
    Format("'[start]s - [end]s'", "", "{}s - {}s"),
    Format("'Time intervals: [start] - [end]'", "Time intervals: ", "{} - {}"),
    Format("'[start]-[end]'", "", "{}-{}"),
    Format("'From [start] to [end] seconds.' For", "From ", "{} to {} seconds", ", and from ", "."),
    Format("'It appears from [start]", "From ", "{} to {} seconds", ", and from ", ".", heads="It appears from "),
    Format("'Segments: [start]s to [end]s'", "Segments: ", "{}s to {}s", ", and "),
    Format("'[start] to [end] seconds'", "", "{} to {} seconds", ", and "),
    Format("'This can be observed", "This can be observed from ", "{}s to {}s", ", and from ", "."),
    Format("parentheses", "", "({}, {})"),
    Format("<[start], [end]>", "", "<{}, {}>"),
    Format("'Between [start]", "Between ", "{} and {} seconds", ", and between ", "."),
    Format("'[start], [end]'", "", "{}, {}", "; "),
    Format("'The time span is", "The time span is ", "{}-{} seconds", ", and ", ".", heads="The time spans are "),
    Format("[[MM:SS, MM:SS]]", "[", "[{}, {}]", ", ", "]", num_clock_parts=2),
    Format("[[HH:MM:SS, HH:MM:SS]]", "[", "[{}, {}]", ", ", "]", num_clock_parts=3),
    Format("'The event occurs between", "The event occurs between ", "{} and {} seconds", ", and between ", "."),
    Format("strictly as a JSON array of [start, end]", "[", "[{}, {}]", ", ", "]"),
    Format("as an array of [start, end] pairs in seconds", "[", "[{}, {}]", ", ", "]"),
    Format("e.g.: [[start, end]]", "[", "[{}, {}]", ", ", "]"),
    Format("[[[start]s, [end]s]]", "[", "[{}s, {}s]", ", ", "]"),
    Format("'Start: [start]s, End: [end]s'", "", "Start: {}s, End: {}s", "; "),
    Format("'Beginning: [start]s, Ending: [end]s'", "", "Beginning: {}s, Ending: {}s", "; "),
    Format("'It starts at", "It ", "starts at {}s and ends at {}s", ", and ", "."),
    Format("'It happens from", "It happens from ", "{}s to {}s", ", and ", "."),
    Format("'The time window is", "The time window is ", "{}s to {}s", ", and ", ".", heads="The time windows are "),
    Format("'The event happens from", "The event happens from ", "{} to {} seconds", ", and from ", "."),
    Format("'The temporal range is", "The temporal range is from ", "{} to {} seconds", ", and from ", "."),
    Format("'Temporal bounds:", "Temporal bounds: ", "{}s to {}s", ", and ", "."),
]

HUNDREDTHS = st.integers(0, 5 * 3600 * 100)  # up to five hours
BETWEEN = st.sampled_from([None, None, ", ", " and ", "; ", ",\n", "\n"])


@given(st.sampled_from(FORMATS), st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), min_size=1, max_size=6), BETWEEN)
def test_every_format_gives_its_windows_back(form: Format, windows: list[tuple[int, int]], between: str | None) -> None:
    if between is not None:  # models do not keep to the separator they were given
        form = form._replace(between=between)
    unit = 100 if form.num_clock_parts else 1
    stated = [Span(start // unit * unit / 100, end // unit * unit / 100) for start, end in windows]
    text = form.write(windows)
    assert stated_windows(text) == stated
    assert read_all(text, Method.TIME_R1) == [span for span in stated if span.start_s <= span.end_s]
    in_order = [Span(min(span), max(span)) for span in stated]
    assert read_all(f"<think>1 to 9</think><answer>{text}", Method.TVG_R1, reversed_pairs="swap") == in_order


def test_answers_in_twenty_five_formats(shared: Path) -> None:
    """Every window of every answer, against a reader that is told the format by the question."""
    path = shared / "data/predictions/text_answers_timelens/dialogs_000_599.jsonl"
    num_answers = num_recovered = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["messages"]
        for question, answer in zip(turns[::2], turns[1::2], strict=True):
            content = question["content"]
            asked = (content if isinstance(content, str) else content[-1]["text"]).splitlines()[-1]
            (form,) = [form for form in FORMATS if form.asked in asked]
            found = [list(window) for window in read_all(answer["content"], Method.TIME_R1)]
            num_answers += 1
            num_recovered += found == form.read(answer["content"])
    assert num_answers > 2900
    assert num_recovered / num_answers >= 0.995


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("From 0.0s to 5.2s, nothing happens.", True),
        ("<timestep>3.0 to 5.2</timestep>", True),
        ("It rises at 12.5 seconds.", True),
        ("It rises at second 12.", True),
        ("around 1:05", True),
        ("It takes 3 minutes.", True),
        ("The 2nd of 3 men rises, 5' tall.", False),
        ("It rises.", False),
        ("", False),
    ],
)
def test_a_time_is_named(text: str, named: bool) -> None:
    assert names_time(text) is named


@given(st.text())
def test_no_text_raises_when_it_is_asked_for_times(text: str) -> None:
    assert names_time(text) or not stated_windows(text)
