"""Every refusal names its key."""

from collections.abc import Callable

import pytest

from tvg_lightning.modules.evaluation_settings import EvaluationSettings


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EvaluationSettings(top_p=0.0), r"evaluation\.top_p must lie in"),
        (
            lambda: EvaluationSettings(repetition_penalty=0.0),
            r"evaluation\.repetition_penalty must be a positive number",
        ),
        (lambda: EvaluationSettings(as_published=True), r"evaluation\.as_published is the way of a preset: name one"),
        (lambda: EvaluationSettings(max_new_tokens=0), r"evaluation\.max_new_tokens must be at least 1"),
        (lambda: EvaluationSettings(max_anchors=-1), r"evaluation\.max_anchors must not be negative"),
    ],
)
def test_refusals_name_their_key(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
