"""NExT-GQA: windows by video and question in ``gsub_val.json``, questions in ``val.csv``; or VideoChat-R1's list.

``{"10001787725": {"duration": 34, "location": {"1": [[1.2, 5.8]]}, "fps": 29.97}}``, csv ``video_id, question, qid``
``{"id": "4882821564_1", "video": "1104/4882821564.mp4", "question": "…", "duration": 90, "glue": [[13.8, 29.8]]}``

Ids are ``<video>_<qid>`` in both. The query is the question without its options. Where ``map_vid_vidorID.json``
lies beside the annotations, videos are in the folders it names (``1104/4882821564.mp4``). Durations are rounded
to whole seconds, so some windows end beyond them; some start at -0.1 or -0.2 s: both are clipped.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import beside, identity, number, query, spans, text, video_file
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, first_keys, read_items, read_json, read_table, require

VIDEO_FOLDERS = "map_vid_vidorID.json"


def records(annotations: Path, questions: Path | None = None) -> Iterator[Record]:
    """All questions; ``questions`` is the csv (default: ``val.csv`` beside ``gsub_val.json``)."""
    if "glue" not in first_keys(annotations):
        return _joined(annotations, questions)
    if questions is not None:
        raise ValueError(f"{annotations}: this form has its questions in it; leave the companion out")
    return _listed(annotations)


def _listed(annotations: Path) -> Iterator[Record]:
    for location, given in read_items(annotations, ("id", "video", "question", "duration", "glue")):
        with at(annotations, location):
            record = Record(
                location,
                identity(given, "id"),
                video_file(text(given, "video")),
                number(given, "duration"),
                query(given, "question"),
                spans(given["glue"], "glue"),
            )
        yield record


def _joined(annotations: Path, questions: Path | None) -> Iterator[Record]:
    videos = _read_videos(annotations)
    questions = questions or beside(annotations, f"{annotations.stem.removeprefix('gsub_')}.csv")
    asked, folders = _read_questions(questions), _read_folders(annotations.with_name(VIDEO_FOLDERS))
    for name, video in videos.items():
        for qid, pairs in video["location"].items():
            sample_id = f"{name}_{qid}"
            with at(annotations, sample_id):
                if (name, qid) not in asked:
                    raise ValueError(f"its question is not in {questions}; are the two of one split?")
                windows, duration_s = spans(pairs, "location"), number(video, "duration")
                path = video_file(folders.get(name, name))
                record = Record(sample_id, sample_id, path, duration_s, asked.pop((name, qid)), windows)
            yield record
    for name, qid in asked:
        raise ValueError(f"{annotations}: no windows for {len(asked)} questions of {questions}, first {name}_{qid}")


def _read_videos(annotations: Path) -> dict[str, dict[str, Any]]:
    videos = read_json(annotations)
    if not isinstance(videos, dict):
        raise ValueError(f"{annotations}: another form: an object with one entry a video is needed")
    for name, video in videos.items():
        with at(annotations, name):
            require(video, ("duration", "location"))
            if not isinstance(video["location"], dict):
                raise ValueError(f"location must be an object of qid to windows, got {video['location']!r}")
    return videos


def _read_questions(file: Path) -> dict[tuple[str, str], str]:
    asked: dict[tuple[str, str], str] = {}
    for line, row in read_table(file, ("video_id", "question", "qid")):
        key = (row["video_id"], row["qid"])
        if key in asked:
            raise ValueError(f"{file}:{line}: a second question {key[1]} of video {key[0]}")
        asked[key] = row["question"]
    return asked


def _read_folders(file: Path) -> Mapping[str, Any]:
    folders = read_json(file) if file.is_file() else {}
    if not (isinstance(folders, dict) and all(isinstance(path, str) for path in folders.values())):
        raise ValueError(f"{file}: must hold an object of video id to path")
    return folders
