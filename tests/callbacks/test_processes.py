"""Files by rank, and work of the first process, as each of two processes sees it."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callbacks.processes import first_does, rank_files


def test_files_of_other_names_are_passed_over(tmp_path: Path) -> None:
    names = ["a-rank0.jsonl", "a-rank-rank12.jsonl", "x-ranking.jsonl", "a-rank1.txt", "-rank3.jsonl", "a-rank-1.jsonl"]
    for name in names:
        (tmp_path / name).touch()
    found = {(path.name, name, rank) for path, name, rank in rank_files(tmp_path)}
    assert found == {("a-rank0.jsonl", "a", 0), ("a-rank-rank12.jsonl", "a-rank", 12)}
    assert not list(rank_files(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, None),
        (ValueError("no traces"), "no traces"),
        (OSError(errno.ENOSPC, "disk full"), "no harvest ([Errno 28] disk full)"),
    ],
)
def test_all_processes_end_where_the_first_fails(error: Exception | None, said: str | None) -> None:
    sent: list[str | None] = []

    def work() -> None:
        if error is not None:
            raise error

    def broadcast(complaint: str | None) -> str | None:
        """The first one's word, in all."""
        sent.append(complaint)
        return sent[0]

    def not_mine() -> None:
        raise AssertionError("done twice")

    for rank, does in enumerate((work, not_mine)):
        trainer: Any = SimpleNamespace(is_global_zero=rank == 0, strategy=SimpleNamespace(broadcast=broadcast))
        if said is None:
            first_does(trainer, does, "no harvest")
            continue
        with pytest.raises(ValueError) as raised:
            first_does(trainer, does, "no harvest")
        assert str(raised.value) == said
    assert sent == [said, None]
