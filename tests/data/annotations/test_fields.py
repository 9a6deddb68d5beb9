import pytest

from tvg_lightning.data.annotations.fields import cut, identity, number, spans, video_file
from tvg_lightning.schema import Span


def test_values() -> None:
    assert spans([1, 2.5], "w") == (Span(1.0, 2.5),) and spans([[1, 2], [4, 3]], "w") == (Span(1, 2), Span(4, 3))
    assert spans([], "w") is None
    assert cut({"s": None}, "s", "e") is None and cut({"s": 1, "e": 2.5}, "s", "e") == Span(1.0, 2.5)
    assert identity({"id": 0}, "id") == "0" and identity({"id": "x"}, "id") == "x"
    assert video_file("x_60.0_210.0") == "x_60.0_210.0.mp4" and video_file("a.MOV", ".avi") == "a.MOV"
    for value in (True, "1", None, 10**400):
        with pytest.raises(ValueError, match="d must be a number of seconds"):
            number({"d": value}, "d")
