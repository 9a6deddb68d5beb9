import errno
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.runs import NEW_PROCESSES
from tvg_lightning.data.caches import tensor_store
from tvg_lightning.data.caches.tensor_store import TensorStore, tensor_bytes

SIZE = 100_000


def write_for_ever(folder: str, value: int) -> None:
    store = TensorStore(Path(folder), 10 * SIZE)
    while True:
        for k in range(20):
            store.store(str(k), {"x": torch.full((SIZE,), value, dtype=torch.uint8)}, {"value": str(value)})


def test_writers_that_are_killed_leave_nothing_torn(tmp_path: Path) -> None:
    """Three write the same names at once and are killed in the middle; whatever is found is whole."""
    store, found = TensorStore(tmp_path, 10 * SIZE), 0
    for kill in range(3):
        writers = [
            NEW_PROCESSES.Process(target=write_for_ever, args=(str(tmp_path), k), daemon=True) for k in (1, 2, 3)
        ]
        for writer in writers:
            writer.start()
        while not (tmp_path / "0.safetensors").exists() and all(writer.is_alive() for writer in writers):
            time.sleep(0.01)
        time.sleep(0.2 + 0.013 * kill)
        for writer in writers:
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
        for k in range(20):
            is_there = (tmp_path / f"{k}.safetensors").exists()
            entry = store.find(str(k))
            assert (entry is not None) == is_there, "a torn one"
            if entry is not None:
                found += 1
                assert (entry[0]["x"] == int(entry[1]["value"])).all()
    assert found > 0
    store.store("last", {"x": torch.zeros(SIZE, dtype=torch.uint8)}, {})
    assert sum(file.stat().st_size for file in tmp_path.glob("*.safetensors")) <= 10 * SIZE


def tensors(value: int) -> dict[str, torch.Tensor]:
    return {"x": torch.full((SIZE,), value, dtype=torch.uint8)}


def test_a_write_that_is_truncated_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def truncated(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    store = TensorStore(tmp_path, 10 * SIZE)
    store.store("k", tensors(1), {})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", truncated)
        store.store("k", tensors(2), {})
    entry = store.find("k")
    assert entry is not None and torch.equal(entry[0]["x"], tensors(1)["x"])


def test_two_writers_of_one_entry_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second writes all of it while the first is half way."""
    store, whole = TensorStore(tmp_path, 10 * SIZE), Path.write_bytes

    def in_two_halves(path: Path, content: bytes) -> None:
        whole(path, content[: len(content) // 2])
        monkeypatch.setattr(Path, "write_bytes", whole)
        TensorStore(tmp_path, 10 * SIZE).store("k", tensors(2), {})
        with path.open("ab") as file:
            file.write(content[len(content) // 2 :])

    monkeypatch.setattr(Path, "write_bytes", in_two_halves)
    store.store("k", tensors(1), {})
    entry = store.find("k")
    assert entry is not None and torch.equal(entry[0]["x"], tensors(1)["x"])


def test_any_dtype_has_bytes() -> None:
    assert bytes(tensor_bytes(torch.tensor([1.0], dtype=torch.bfloat16))) == b"\x80\x3f"
    assert bytes(tensor_bytes(torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).T)) == bytes([1, 3, 2, 4])


def denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_a_sound_entry_of_another_user_is_a_hit_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its owner may set a file's times; on a read-only file system nobody may."""
    store = TensorStore(tmp_path, 10 * SIZE)
    store.store("k", tensors(1), {})
    monkeypatch.setattr(os, "utime", denied)
    entry = store.find("k")
    assert entry is not None and torch.equal(entry[0]["x"], tensors(1)["x"]) and (store.hits, store.misses) == (1, 0)
    assert (tmp_path / "k.safetensors").exists()


def test_a_damaged_entry_that_may_not_be_removed_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, entry = TensorStore(tmp_path, 10 * SIZE), tmp_path / "k.safetensors"
    entry.write_bytes(b"damaged" * 99)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", denied)
        assert store.find("k") is None
    assert store.find("k") is None and store.misses == 2 and not entry.exists()


def test_an_entry_that_cannot_be_read_now_is_a_miss_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TensorStore(tmp_path, 10 * SIZE)
    store.store("k", tensors(1), {})
    with monkeypatch.context() as patch:
        patch.setattr(tensor_store, "safe_open", denied)
        assert store.find("k") is None and store.misses == 1
    assert store.find("k") is not None


def test_a_full_disk_is_not_kept_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        TensorStore(tmp_path, 10 * SIZE).store("k", tensors(1), {})
    assert not list(tmp_path.iterdir())


def test_what_another_user_stored_does_not_end_an_eviction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three entries where two have room: the oldest may not be removed, so the one after it goes."""
    store, remove = TensorStore(tmp_path, 2 * SIZE + 1000), Path.unlink
    for age, key in enumerate(("theirs", "old")):
        store.store(key, tensors(1), {})
        os.utime(tmp_path / f"{key}.safetensors", (age + 1, age + 1))

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.stem == "theirs":
            denied()
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    store.store("new", tensors(1), {})
    assert {file.stem for file in tmp_path.iterdir()} == {"theirs", "new"}


def test_the_folder_is_listed_once_a_hundredth_of_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of 0.3 %: listed at the first, and then at every fourth, by which 1.2 % are written."""
    listed, scandir = [], os.scandir

    def counted(folder: Path) -> object:
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counted)
    store = TensorStore(tmp_path, 1000 * SIZE // 3)
    counts = []
    for k in range(9):
        store.store(str(k), tensors(1), {})
        counts.append(len(listed))
    assert counts == [1, 1, 1, 1, 2, 2, 2, 2, 3]
