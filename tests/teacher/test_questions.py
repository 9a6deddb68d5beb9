import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.teacher.material import samples, write_video
from tvg_lightning.data.video import FrameSettings, VideoError
from tvg_lightning.prompts import grounding_prompt
from tvg_lightning.schema import AnswerFormat, Method, Span
from tvg_lightning.teacher.questions import _answer_settings, fingerprint, make_body, make_question
from tvg_lightning.teacher.settings import QuestionSettings

TIME_R1 = AnswerFormat(Method.TIME_R1)
TVG_R1 = AnswerFormat(Method.TVG_R1)

FRAMES = QuestionSettings(frames=FrameSettings(uniform_frames=4))
WHOLE = QuestionSettings(input="video")
SAMPLE = samples(1)[0]


def body_of(videos: Path, settings: QuestionSettings, method: Method = Method.TVG_R1, **change: Any) -> dict[str, Any]:
    question = make_question(replace(SAMPLE, **change), AnswerFormat(method), videos, "m", settings)
    body: dict[str, Any] = json.loads(make_body(question, "m", settings))
    return body


def brightness(part: dict[str, Any]) -> float:
    kind, _, content = part["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.format == "JPEG" and image.size == (56, 28)
    return float(np.asarray(image).mean())


def test_each_frame_follows_its_time(videos: Path) -> None:
    body = body_of(videos, FRAMES)
    system, user = body["messages"]
    assert system == {"role": "system", "content": grounding_prompt(TVG_R1, "number 0").system}
    parts = user["content"]
    assert user["role"] == "user" and len(parts) == 9
    assert [part["text"] for part in parts if part["type"] == "text"] == [
        "0.0 s",
        "1.0 s",
        "2.0 s",
        "3.0 s",
        "number 0",
    ]
    # two frames a second, frame k of brightness 16 k
    assert [brightness(part) for part in parts[1:8:2]] == pytest.approx([0.0, 32.0, 64.0, 96.0], abs=4.0)
    assert {key: value for key, value in body.items() if key != "messages"} == {"model": "m", "max_tokens": 8192}


def test_a_cut_has_its_own_frames_and_times(videos: Path) -> None:
    parts = body_of(videos, FRAMES, cut=Span(2.0, 4.0))["messages"][1]["content"]
    assert [part["text"] for part in parts[:8:2]] == ["0.0 s", "0.5 s", "1.0 s", "1.5 s"]
    assert brightness(parts[1]) == pytest.approx(64.0, abs=4.0)


def test_a_method_without_a_system_turn(videos: Path) -> None:
    messages = body_of(videos, FRAMES, Method.TIME_R1)["messages"]
    assert [message["role"] for message in messages] == ["user"]
    assert messages[0]["content"][-1]["text"] == grounding_prompt(TIME_R1, "number 0").user


def test_the_whole_file(videos: Path) -> None:
    part, text = body_of(videos, WHOLE)["messages"][1]["content"]
    kind, _, content = part["video_url"]["url"].partition(",")
    assert (part["type"], kind, text["text"]) == ("video_url", "data:video/mp4;base64", "number 0")
    assert base64.b64decode(content) == (videos / "a.mp4").read_bytes()


def test_settings_that_reach_the_server(videos: Path) -> None:
    settings = replace(
        FRAMES,
        temperature=0.7,
        max_tokens=99,
        max_tokens_key="max_completion_tokens",
        image_detail="low",
        extra={"reasoning_effort": "low"},
    )
    body = body_of(videos, settings)
    assert (body["temperature"], body["max_completion_tokens"], body["reasoning_effort"]) == (0.7, 99, "low")
    assert "max_tokens" not in body
    assert body["messages"][1]["content"][1]["image_url"]["detail"] == "low"


def test_videos_that_cannot_be_sent(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"above question\.max_video_mb \(0\.0001\)"):
        body_of(videos, replace(WHOLE, max_video_mb=0.0001))
    with pytest.raises(VideoError, match="the sample is a cut of it"):
        body_of(videos, WHOLE, cut=Span(0.0, 2.0))
    with pytest.raises(VideoError, match=r"missing\.mp4: cannot be opened"):
        body_of(videos, FRAMES, video="missing.mp4")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be read"):
        body_of(tmp_path, FRAMES)


def key(videos: Path, settings: QuestionSettings = FRAMES, model: str = "m", **change: Any) -> str:
    method = change.pop("method", Method.TVG_R1)
    return make_question(replace(SAMPLE, **change), AnswerFormat(method), videos, model, settings).keys[0]


def test_what_makes_another_question(videos: Path, tmp_path: Path) -> None:
    keys = [
        key(videos),
        key(videos, model="n"),
        key(videos, method=Method.TIME_R1),
        key(videos, query="number 1"),
        key(videos, sample_id="t"),
        key(videos, cut=Span(0.0, 2.0)),
        key(videos, replace(FRAMES, frames=FrameSettings(uniform_frames=6))),
        key(videos, replace(FRAMES, temperature=0.5)),
        key(videos, replace(FRAMES, jpeg_quality=50)),
        key(videos, replace(FRAMES, image_detail="low")),
        key(videos, replace(FRAMES, extra={"top_p": 0.9})),
        key(videos, WHOLE),
        key(write_video(tmp_path / "a.mp4", num_frames=10).parent),
        make_question(SAMPLE, TVG_R1, videos, "m", replace(FRAMES, num_answers=2)).keys[1],
    ]
    assert len(set(keys)) == len(keys)


def test_answers_are_known_by_the_pixels_that_they_were_paid_for() -> None:
    """Budgets were once in pixels; what was paid for then, with 256 tokens of 28 x 28 a frame, is not asked anew."""
    frames = FrameSettings(uniform_frames=4, min_tokens=2, max_tokens=256, total_tokens=3584)
    given = _answer_settings(QuestionSettings(frames=frames))
    assert given == {"frames": {"uniform_frames": 4, "min_pixels": 1568, "max_pixels": 200704, "total_pixels": 2809856}}


def test_what_does_not(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes((videos / "a.mp4").read_bytes())  # another folder, another date
    same = [
        key(tmp_path),
        key(videos, replace(FRAMES, num_answers=2)),
        key(videos, replace(FRAMES, max_tokens=9, max_tokens_key="max_completion_tokens")),
        key(videos, windows=None),
    ]
    assert set(same) == {key(videos)}


def test_frames_do_not_matter_to_a_whole_file(videos: Path) -> None:
    other = replace(WHOLE, frames=FrameSettings(uniform_frames=6), jpeg_quality=50, image_detail="low")
    assert key(videos, other) == key(videos, WHOLE) != key(videos, replace(WHOLE, temperature=0.5))


def test_a_setting_left_at_its_default_is_not_part_of_the_key(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a later version with one setting more still finds what an earlier one paid for."""
    hashed: list[str] = []
    monkeypatch.setattr("tvg_lightning.teacher.questions._hash", lambda parts: hashed.append(json.dumps(parts)) or "")
    key(videos, FRAMES)
    assert '{"frames": {"uniform_frames": 4}}' in hashed[0]


def test_a_fingerprint_sees_size_begin_and_end(tmp_path: Path) -> None:
    marks = []
    for content in (b"a" * 9, b"a" * 10, b"b" + b"a" * 9, b"a" * 9 + b"b", b"a" * 300_000, b"a" * 299_999 + b"b"):
        (tmp_path / "f").write_bytes(content)
        marks.append(fingerprint(tmp_path / "f"))
    assert len(set(marks)) == len(marks)
