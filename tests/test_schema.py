"""The names in configs are those of the enums, and the nouns cannot be changed once made."""

from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from tvg_lightning.schema import Answer, Method, MethodName, Prompt, Sample, Span, Task, TaskName


def test_configs_name_every_task_and_every_method() -> None:
    assert get_args(TaskName) == tuple(task.value for task in Task)
    assert get_args(MethodName) == tuple(method.value for method in Method)


@pytest.mark.parametrize(
    ("noun", "field"),
    [
        (Sample("s", "a.mp4", 9.0, "a cat", (Span(1.0, 2.0),)), "query"),
        (Prompt("when?"), "user"),
        (Answer(True, None), "spans"),
    ],
)
def test_what_is_made_stays_as_it_is(noun: object, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(noun, field, "another")
    assert noun == noun and hash(noun) == hash(noun)


def test_defaults() -> None:
    sample = Sample("s", "a.mp4", 9.0, "a cat", ())
    assert (sample.cut, Prompt("when?").system, Answer(False, None).anchors) == (None, None, ())
