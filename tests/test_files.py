"""Files are read with their lines named, and a line that a kill has torn was never written."""

import json
from pathlib import Path

import pytest

from tvg_lightning.files import (
    append_json,
    atomic_write,
    first_keys,
    json_lines,
    name_text,
    plain_text,
    read_items,
    read_json,
    read_table,
    refuse_existing,
    repair_last_line,
    write_jsonl,
)


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


TORN = [
    b'{"a": 1}\n{"a": 2}\n',
    b'{"a": 1}\n{"a": 2}',
    b'{"a": 1}\n{"a": 2}\n{"a":',
    b'{"a": 1}\n\n{"a": 2}\n{"a": "\xf0\x9f',
]


@pytest.mark.parametrize("content", TORN)
def test_a_torn_last_line_was_never_written(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    assert [value for _, value in json_lines(path)] == [{"a": 1}, {"a": 2}]
    repair_last_line(path)
    assert path.read_bytes().endswith(b"\n")
    with path.open("ab") as file:
        file.write(b'{"a": 3}\n')
    assert [value["a"] for _, value in json_lines(path)] == [1, 2, 3]


def test_any_other_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a":\n{"a": 3}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not JSON"):
        list(json_lines(path))
    assert list(json_lines(path, many_writers=True)) == [(1, {"a": 1}), (3, {"a": 3})]


def test_no_file_needs_no_repair(tmp_path: Path) -> None:
    repair_last_line(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").touch()
    repair_last_line(tmp_path / "empty.jsonl")
    assert (tmp_path / "empty.jsonl").read_bytes() == b""


@pytest.mark.parametrize("before", [None, b"", b'{"a": 0}\n', b'{"a": 0}\n{"a'])
def test_many_writers_append_apart_from_what_is_torn(before: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.jsonl"
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    append_json(path, {"a": 1})
    values = [value["a"] for _, value in json_lines(path, many_writers=True)]
    assert values == ([0, 1] if before else [1])
    assert json.loads(path.read_bytes().splitlines()[-1]) == {"a": 1}


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("a \ud83d b", "a � b"),
        ("\udc31\ud83d", "��"),  # the halves of a cat, the wrong way round
        ("a\0b", "a�b"),
        ("🐱 é\u2028\n", "🐱 é\u2028\n"),
        ("", ""),
    ],
)
def test_what_is_no_text_is_replaced_or_refused(given: str, plain: str) -> None:
    assert plain_text(given) == plain == plain_text(plain)
    plain.encode()  # as a tokenizer or a file does
    if given == plain:
        assert name_text(given, "the id") == given
    else:
        with pytest.raises(ValueError, match=r"the id .* holds what is no text"):
            name_text(given, "the id")


def test_a_whole_file_or_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    write_jsonl(path, [{"a": "é \ud83d"}, {"b": 1}])
    assert path.read_bytes() == '{"a": "é \\ud83d"}\n{"b": 1}\n'.encode()
    assert [value for _, value in json_lines(path)] == [{"a": "é \ud83d"}, {"b": 1}]
    with pytest.raises(OSError, match="full"), atomic_write(path) as part:
        part.write_bytes(b"half")
        raise OSError("the disk is full")
    with pytest.raises(TypeError):
        write_jsonl(path, [{"a": object()}])
    assert [file.name for file in path.parent.iterdir()] == ["a.jsonl"] and path.read_bytes().endswith(b'{"b": 1}\n')


def test_files_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    there, free = tmp_path / "a", tmp_path / "b"
    there.touch()
    refuse_existing(free, tmp_path / "c")
    with pytest.raises(ValueError, match="a exists already: remove it or choose another name"):
        refuse_existing(free, there)
    with pytest.raises(ValueError, match="b is to be written twice"):
        refuse_existing(free, tmp_path / "." / "b")


def test_deep_nesting_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    repair_last_line(path)
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not JSON \(JSON nested too deep"):
        list(json_lines(path))


def test_a_file_of_another_form_is_told_its_reader(tmp_path: Path) -> None:
    lines = save(tmp_path, '{"qid": 1, "query": "q", "vid": "v", "duration": 3}\n')
    with pytest.raises(ValueError, match=r"a\.txt:1: another form: video missing, .*--benchmark qvhighlights$"):
        list(read_items(lines, ["video", "query"]))
    ours = save(tmp_path, '{"query": "q", "video": "v", "duration": 3}\n')
    with pytest.raises(ValueError, match=r"a\.txt:1: another form: qid missing, .*--benchmark jsonl$"):
        list(read_items(ours, ["qid"]))
