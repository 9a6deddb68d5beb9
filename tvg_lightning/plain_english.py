"""Model text in plain English: words of other languages, LaTeX, full-width marks and tables made alike.

Standard library only. The text is untrusted: nothing here raises, every pattern runs in linear time.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

# ---- plain words and marks

# What counts as an English word ("_": perhaps a blank). "frames" behind a number, "scene" before it: it is no time.
_SPELLINGS: Final = {
    "hours": "小时 小時 stunde stunden heure heures hora horas",
    "minutes": "分钟 分鐘 分 분 minuten minuto minutos minuti mn",
    "minutes 30 seconds": "分半 分半钟",
    "seconds": "秒钟 秒鐘 秒 초 sekunde sekunden seconde secondes segundo segundos secondo secondi",
    "sec": "sek seg",
    "ms": "毫秒 ミリ秒 밀리초",
    "frames": "帧 幀 フレーム 프레임 パーセント 퍼센트 倍 次 回 번 秒間 分間 초간 분간 초_동안"
    " einzelbilder fotogramas fotogrammi prozent mal fois veces volte vezes",
    "scene": "场景 場景 镜头 鏡頭 步骤 步驟 选项 選項 章节 章節 百分之 シーン ステップ 장면 단계",
    "minus": "负 負 マイナス 마이너스 moins menos meno",
    "to": "到 至 直到 一直到 持续到 持續到 一直持续到 から より 부터 에서 에서부터 bis à hasta até às al au",
    "from": "从 從 自 由 von vom ab de des desde da dal du",
    "and": "和 与 與 及 跟 と 및 와 과 und et",
    "between": "介于 介於 zwischen entre tra fra",
    "start": "开始 開始 起始 起点 起點 始于 始於 始まり 始まる 始まって から_始まり から_始まる から_始まって 시작"
    " 부터_시작 에서_시작 beginn beginnt anfang début débute inicio início inizio inizia comienza empieza começa",
    "end": "结束 結束 终止 終止 终点 終點 終点 止于 終了 終わり 終わる 終わって 종료 끝 에서_끝"
    " ende endet enden endzeit fin finit fim finisce termine termina terminan acaba",
    "at": "在 于 於 に 에 で bei nach um après en em im",
    "about": "大约 大約 约 約 大概 左右 附近 前后 頃 ごろ くらい ぐらい 약 대략 정도 쯤 경"
    " etwa ungefähr circa rund environ vers aproximadamente cerca",
    "the": "第 的 の 目 处 處 为 為 是 は が 时 時 时候 时刻 时间 時間 時刻 時候 시간 시점 시각 지점 은 는 이 가 을 를"
    " 一直 起 der dem zur zum la le les el los las il uhr zeitpunkt temps tiempo tempo jusqu",
}
_ENGLISH: Final = {way.replace("_", ""): word for word, ways in _SPELLINGS.items() for way in ways.split()}
_EUROPEAN: Final = frozenset(way for way in _ENGLISH if way < "\u3000")
_ASIAN: Final = sorted((way for way in " ".join(_SPELLINGS.values()).split() if way > "\u3000"), key=len, reverse=True)
_ASIAN_WORD: Final = re.compile(f" ?({'|'.join(_ASIAN).replace('_', ' ?')}) ?")
_BESIDE_ASIAN: Final = re.compile(r"(?<=\d)(?=[\u3040-\u9fff\uac00-\ud7af])|(?<=[\u3040-\u9fff\uac00-\ud7af])(?=\d)")
_WIDE_TO_ASCII: Final = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys("「」『』“”„«»″", '"')
    | dict(zip("【〔〖】〕〗《〈》〉‘’′−\u3000", "[[[]]]<<>>'''- ", strict=True))
    | {"，": ", ", "、": ", ", "。": ". "}  # a full-width comma only separates
)
_MARKUP: Final = {
    r"\\[,;:! ]|\\(?:quad|qquad|left|right|displaystyle)(?![A-Za-z])": " ",
    r"\\(?:to|mapsto|(?:[Ll]ong)?[Rr]ightarrow)(?![A-Za-z])": " to ",
    r"\\leq?(?:slant)?(?![A-Za-z])": "≤",
    r"\\(?:sim(?![A-Za-z])|text(?:en|em)dash)": "~",
    r"\\pm(?![A-Za-z])": "±",
    r"\\%": "%",
    r"(?<=\d)~(?=[A-Za-z\\])": " ",
    r"(?<=\d)\{([,.:])\}(?=\d)": r"\1",
    r"(?:<=?|≤|⩽)\s?[A-Za-z]\s?(?:<=?|≤|⩽)": " to ",  # 12 <= t <= 18
    r"(?<=\d)['’\u00a0\u2009\u202f](?=\d{3}(?!\d))": "",  # 1’234
    r"(?<=\d)[·٫](?=\d)": ".",
    r"(?<=\d)′(?!\s?\d)": " min ",
    r"(?<=[段件景头骤项])(\d{1,3})[:：]": r"\1: ",  # 片段1:12 is part 1, from 12 on
    r"(?<!\d)：|：(?!\d)": ": ",
    r"(?<=\d) ?(?:时(?![间候刻])|時間|時(?![候刻])|시간) ?": " hours ",  # not after a digit: a time
    r"  +": " ",
}
_TEX_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s*+\{([^{}]*+)\}")
_TEX_TEXT: Final = re.compile(r"\\(?:text|math|operatorname|mbox|hbox|bm|emph|underline)[a-z]*+\s*+\{([^{}]*+)\}")
_EUROPEAN_FORMS: Final = {
    r"(?<=[\ds]) a (?=(?:the )?\d)": " to ",  # de 12 a 18
    r"(?<=[\ds]) [ey] ": " and ",
    r"(?<=\d)(?:e|ème|º|ª)(?=\s)": "th",
    r"(?<=\d)\. (?=(?:seconds?|to|and)\b)": " ",  # 12. bis 18. Sekunde
}
_SURELY_DECIMAL: Final = re.compile(r"(?<![\d.,])(?:0,\d|\d++,(?:\d{1,2}|\d{4,})(?![\d.,]))")
_HEADER_UNIT: Final = re.compile(r"\b(?:ms|min|mins|minutes|h|hours|frames?|percent)\b|%")

# ---- words that say whether a time starts or ends a window

Label = Literal["start", "end"]

WORD: Final = re.compile(r"[^\W\d_]+")
TO: Final = frozenset({"to", "til"})
_LABELS: Final[dict[Label, re.Pattern[str]]] = {
    "start": re.compile(r"start|begin|commenc|onset$|from$"),
    "end": re.compile(r"end(?:s|ed|ing|time)?$|finish|stop|conclud|offset$|until$|till$|through$|thru$"),
}
# these say nothing about it
FILLER: Final = re.compile(
    r"(?:a|about|approx|approximately|around|at|ca|exactly|is|it|mark|moment|nearly|point|roughly|t|the|time|timestamp|up"
    r"|min|minutes?|s|secs?|seconds?)$"
)


def plain_english(text: str) -> tuple[str, bool]:
    """A text in plain English words and marks, and whether its numbers have decimal commas.

    >>> plain_english("von 12,5 bis 18,3")
    ('from 12,5 to 18,3', True)
    """
    if not text.isascii() or any(mark in text for mark in "\\<{'"):
        for _ in range(4 if "\\" in text else 0):  # levels of \boxed{\text{…}}
            text = _TEX_BOX.sub(r"[\1]", _TEX_TEXT.sub(r" \1 ", text))
        for pattern, plain in _MARKUP.items():
            text = re.sub(pattern, plain, text)
    if not text.isascii():
        text = text.translate(_WIDE_TO_ASCII)
        text = _ASIAN_WORD.sub(lambda match: f" {_ENGLISH[match[1].replace(' ', '')]} ", text)
        text = _BESIDE_ASIAN.sub(" ", text)
    european = {_ENGLISH[word] for word in _EUROPEAN.intersection(WORD.findall(text.casefold()))}
    if european:
        text = WORD.sub(lambda match: _ENGLISH.get(match[0].casefold(), match[0]), text)
        for pattern, plain in _EUROPEAN_FORMS.items():
            text = re.sub(pattern, plain, text)
    is_european = not european.isdisjoint(("to", "between", "seconds"))
    return _without_tables(text), is_european or _SURELY_DECIMAL.search(text) is not None


def _without_tables(text: str) -> str:
    """A text with ``start: a, end: b`` for each row of a table that has a column of starts and one of ends."""
    lines = text.split("\n") if "|" in text or "\t" in text else []
    columns: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        cells = re.split(r"[|\t]", line.strip(" \r").removeprefix("|").removesuffix("|"))
        words = [WORD.findall(cell.lower()) for cell in cells]
        labels = [{"end" if word in TO else label_of([word]) for word in cell} - {None} for cell in words]
        if len(cells) < 2:
            columns = []
        elif labels.count({"start"}) == labels.count({"end"}) == 1 and not any(char.isdigit() for char in line):
            units = ["".join(_HEADER_UNIT.findall(cell.lower())[:1]) for cell in cells]
            columns = [(k, units[k]) for k in (labels.index({"start"}), labels.index({"end"}))]
            lines[number] = ""
        elif columns and max(columns)[0] < len(cells):
            start, end = (f"{cells[k].strip(' *`')} {unit}" for k, unit in columns)
            lines[number] = f"start: {start}, end: {end};"
    return "\n".join(lines) or text


def label_of(words: Iterable[str]) -> Label | None:
    """``start`` or ``end`` where the first word that says anything about a time says so.

    >>> label_of(["about", "the", "beginning"]), label_of(["red", "start"])
    ('start', None)
    """
    word = next((word for word in words if not FILLER.match(word)), "")
    return next((label for label, pattern in _LABELS.items() if pattern.match(word)), None)
