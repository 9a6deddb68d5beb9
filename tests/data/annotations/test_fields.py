from pathlib import Path

import pytest

from tvg_lightning.data.annotations.fields import (
    cut,
    first_keys,
    identity,
    number,
    read_items,
    read_json,
    read_table,
    spans,
    video_file,
)
from tvg_lightning.schema import Span


def save(folder: Path, content: str) -> Path:
    path = folder / "a.txt"
    path.write_text(content, encoding="utf-8")
    return path


def test_items_of_lines_and_of_a_list(tmp_path: Path) -> None:
    lines = save(tmp_path, '\ufeff{"a": 1}\n\n{"a": 2, "b": 3}\n')
    assert list(read_items(lines, ["a"])) == [(1, {"a": 1}), (3, {"a": 2, "b": 3})]
    items = save(tmp_path, ' [{"a": 1},\n {"a": 2}]')
    assert list(read_items(items, ["a"])) == [("item 0", {"a": 1}), ("item 1", {"a": 2})]
    with pytest.raises(
        ValueError, match=r"a\.txt:item 0: another form: b missing, found a; is it this data set's file\?"
    ):
        list(read_items(items, ["a", "b"]))
    with pytest.raises(ValueError, match=r"a\.txt:item 0: another form: an object with a is needed here, got '7'"):
        list(read_items(save(tmp_path, "[7]"), ["a"]))


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ('[{"a": 1, "b": 2}, {"c": 3}]', {"a", "b"}),
        ('\n {"a": 1}\n{"c": 3}\n', {"a"}),
        ('{\n"a": {"c": 3}\n}', {"a"}),
        ("[]", set()),
        ("[7]", set()),
        ("words", set()),
        ("", set()),
    ],
)
def test_the_keys_that_tell_forms_apart(content: str, keys: set[str], tmp_path: Path) -> None:
    assert first_keys(save(tmp_path, content)) == keys


def test_what_json_would_drop_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.txt: the key 'b' stands twice"):
        read_json(save(tmp_path, '{"a": {"b": 1, "c": 2, "b": 1}}'))
    with pytest.raises(ValueError, match=r"a\.txt:2: the key 'a' stands twice"):
        list(read_items(save(tmp_path, '{"a": 1}\n{"a": 1, "a": 2}\n'), ["a"]))
    with pytest.raises(ValueError, match=r"a\.txt:2: not one JSON value \(Extra data\)"):
        read_json(save(tmp_path, '{"a": 1}\n{"a": 2}\n'))


def test_a_table_with_commas_and_line_breaks_in_quotes(tmp_path: Path) -> None:
    path = save(tmp_path, 'a,b\n"1, 2","x\ny"\n3,4\n')
    assert [row for _, row in read_table(path, ["b"])] == [{"a": "1, 2", "b": "x\ny"}, {"a": "3", "b": "4"}]
    with pytest.raises(ValueError, match=r"a\.txt:3: b: the row ends before this column"):
        list(read_table(save(tmp_path, "a,b\n1,2\n3\n"), ["b"]))
    with pytest.raises(ValueError, match=r"a\.txt: not csv after line 1 "):
        list(read_table(save(tmp_path, "a,b\n" + "x" * 200_000 + ",2\n"), ["b"]))


def test_values() -> None:
    assert spans([1, 2.5], "w") == (Span(1.0, 2.5),) and spans([[1, 2], [4, 3]], "w") == (Span(1, 2), Span(4, 3))
    assert spans([], "w") == ()
    assert cut({"s": None}, "s", "e") is None and cut({"s": 1, "e": 2.5}, "s", "e") == Span(1.0, 2.5)
    assert identity({"id": 0}, "id") == "0" and identity({"id": "x"}, "id") == "x"
    assert video_file("x_60.0_210.0") == "x_60.0_210.0.mp4" and video_file("a.MOV", ".avi") == "a.MOV"
    for value in (True, "1", None, 10**400):
        with pytest.raises(ValueError, match="d must be a number of seconds"):
            number({"d": value}, "d")
