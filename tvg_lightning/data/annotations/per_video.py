"""The form of ActivityNet Captions, which others took over: one object a video, times and sentences side by side.

``{"v_abc": {"duration": 55.15, "timestamps": [[0.28, 55.15]], "sentences": ["A man lifts weights."]}}``
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import number, span, video_file, video_stem
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, read_json, require
from tvg_lightning.schema import Span


def in_seconds(video: Mapping[str, Any]) -> tuple[float, float]:
    """Duration in seconds, and how many units of ``timestamps`` a second has."""
    return number(video, "duration"), 1.0


def records(
    annotations: Path,
    suffix: str = ".mp4",
    clock: Callable[[Mapping[str, Any]], tuple[float, float]] = in_seconds,
    clock_keys: tuple[str, ...] = ("duration",),
    keys: tuple[str, str] = ("timestamps", "sentences"),
) -> Iterator[Record]:
    """One record a sentence, called ``<video id>_<its index within the video>``; other keys are not used."""
    videos = read_json(annotations)
    if not isinstance(videos, dict):
        raise ValueError(f"{annotations}: another form: an object with one entry a video is needed")
    for name, video in videos.items():
        with at(annotations, name):
            require(video, (*keys, *clock_keys))
            duration_s, units_per_second = clock(video)
            pairs = _pairs(video, *keys)
        for index, (window, sentence) in enumerate(pairs):
            sample_id = f"{video_stem(name)}_{index}"
            in_s = Span(window.start_s / units_per_second, window.end_s / units_per_second)
            with at(annotations, sample_id):
                record = Record(sample_id, sample_id, video_file(name, suffix), duration_s, sentence, (in_s,))
            yield record


def _pairs(video: Mapping[str, Any], times_key: str, queries_key: str) -> list[tuple[Span, str]]:
    timestamps, sentences = video[times_key], video[queries_key]
    if not (isinstance(timestamps, list) and isinstance(sentences, list) and len(timestamps) == len(sentences)):
        raise ValueError(f"{times_key} and {queries_key} must be lists of one length")
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise ValueError(f"{queries_key} must be texts")
    return [(span(pair, times_key), sentence) for pair, sentence in zip(timestamps, sentences, strict=True)]
