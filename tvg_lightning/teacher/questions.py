"""Requests made from samples: the method's prompt, and the video as frames or as a file."""

import base64
import hashlib
import io
import json
import mimetypes
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from tvg_lightning.data.video import FrameSettings, VideoClip, VideoError, read_clip
from tvg_lightning.data.video_files import NO_MAP, VideoMap, locate
from tvg_lightning.prompts import grounding_prompt
from tvg_lightning.schema import AnswerFormat, Prompt, Sample
from tvg_lightning.teacher.settings import QuestionSettings

_LAYOUT = 1  # raise it when the same settings begin to make other requests, so that these are asked anew
_EDGE_BYTES = 65536
_SIDE = 28  # pixels of a token's side in question.frames: Qwen2.5-VL's, for a teacher's own is not known
# budgets of frames stand in the keys in pixels, as when the first answers were paid for
_IN_PIXELS = {"min_tokens": "min_pixels", "max_tokens": "max_pixels", "total_tokens": "total_pixels"}


@dataclass(frozen=True, slots=True)
class Question:
    """One query about one video. ``keys``: the name of each answer asked for, by which it is paid for once."""

    sample: Sample
    prompt: Prompt
    file: Path
    keys: tuple[str, ...]


def make_question(
    sample: Sample,
    form: AnswerFormat,
    videos: Path,
    model: str,
    settings: QuestionSettings,
    video_map: VideoMap = NO_MAP,
) -> Question:
    """The question of a sample, or VideoError for one that cannot be put; the video is not decoded yet.

    A key changes with all that can change the answer: model, prompt, sample, video, settings. It does not with
    the base_url, so that going on by another way to the same model pays for nothing twice.
    """
    file = locate(videos, sample.video, video_map)
    if settings.input == "video" and sample.cut is not None:
        raise VideoError(
            f"{file}: the sample is a cut of it, and a whole file was asked for; use question.input frames"
        )
    prompt = grounding_prompt(form, sample.query)
    about = [sample.sample_id, sample.video, sample.cut, fingerprint(file)]
    words = {"user": prompt.user, "system": prompt.system}
    parts = [_LAYOUT, model, words, about, _answer_settings(settings)]
    return Question(sample, prompt, file, tuple(_hash([*parts, index]) for index in range(settings.num_answers)))


def make_body(question: Question, model: str, settings: QuestionSettings) -> bytes:
    """The JSON of the request; VideoError where the video cannot be read or is too large."""
    if settings.input == "video":
        parts = [_video_part(question.file, settings.max_video_mb)]
    else:
        clip = read_clip(question.file, settings.frames, question.sample.cut, side=_SIDE)
        parts = _frame_parts(clip, settings)
    messages: list[dict[str, Any]] = []
    if question.prompt.system is not None:
        messages.append({"role": "system", "content": question.prompt.system})
    messages.append({"role": "user", "content": [*parts, _text_part(question.prompt.user)]})
    body = {"model": model, "messages": messages, settings.max_tokens_key: settings.max_tokens, **settings.extra}
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    return json.dumps(body).encode("ascii")


def fingerprint(file: Path) -> str:
    """A digest that tells a file from another without reading all of it: of size, begin and end; VideoError if missing.

    Not its date, which a copy to another machine changes.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(0)
            content = opened.read(_EDGE_BYTES)
            opened.seek(max(size - _EDGE_BYTES, 0))
            content += opened.read(_EDGE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise VideoError(f"{file}: cannot be opened ({error}); check the path and --videos") from error
    return hashlib.sha256(str(size).encode() + content).hexdigest()


def _answer_settings(settings: QuestionSettings) -> dict[str, Any]:
    """The settings that shape an answer, where they are not the default ones.

    So a setting that a later version adds does not make every question another one, paid for anew.
    """
    plain = asdict(QuestionSettings(frames=FrameSettings()))
    given = asdict(settings)
    given["frames"] = {
        _IN_PIXELS.get(key, key): value * _SIDE**2 if key in _IN_PIXELS else value
        for key, value in given["frames"].items()
        if value != plain["frames"][key]
    }
    idle = {"num_answers", "max_video_mb", "max_tokens", "max_tokens_key"}  # change no answer that is whole
    if settings.input == "video":
        idle |= {"frames", "jpeg_quality", "image_detail"}
    return {key: value for key, value in given.items() if key not in idle and value != plain[key]}


def _frame_parts(clip: VideoClip, settings: QuestionSettings) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        jpeg = io.BytesIO()
        Image.fromarray(frame.numpy()).save(jpeg, "JPEG", quality=settings.jpeg_quality)
        image = {"url": _data_url("image/jpeg", jpeg.getvalue())}
        if settings.image_detail is not None:
            image["detail"] = settings.image_detail
        parts += [_text_part(f"{time_s:.1f} s"), {"type": "image_url", "image_url": image}]
    return parts


def _video_part(file: Path, max_video_mb: float) -> dict[str, Any]:
    size_mb = file.stat().st_size / 1e6
    if size_mb > max_video_mb:
        raise VideoError(
            f"{file}: {size_mb:.1f} MB, above question.max_video_mb ({max_video_mb:g}); raise it as far as the "
            "server allows, make the file smaller, or use question.input frames"
        )
    kind = mimetypes.guess_type(file.name)[0] or "video/mp4"
    return {"type": "video_url", "video_url": {"url": _data_url(kind, file.read_bytes())}}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
