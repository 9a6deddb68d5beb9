import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.tensor_store import ContentDigests, TensorStore, tensor_bytes

SIZE = 100_000


def write_for_ever(folder: str, value: int) -> None:
    store = TensorStore(Path(folder), 10 * SIZE)
    while True:
        for k in range(20):
            store.store(str(k), {"x": torch.full((SIZE,), value, dtype=torch.uint8)}, {"value": str(value)})


def test_writers_that_are_killed_leave_nothing_torn(tmp_path: Path) -> None:
    """Three write the same names at once and are killed in the middle; whatever is found is whole."""
    context = multiprocessing.get_context("spawn")
    store, found = TensorStore(tmp_path, 10 * SIZE), 0
    for kill in range(3):
        writers = [context.Process(target=write_for_ever, args=(str(tmp_path), k), daemon=True) for k in (1, 2, 3)]
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


def test_a_write_that_is_cut_off_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    store = TensorStore(tmp_path, 10 * SIZE)
    store.store("k", tensors(1), {})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", cut_off)
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


def test_a_digest_is_read_once_while_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    digests = ContentDigests()
    first = digests.of(file)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)  # whoever reads now fails
        assert digests.of(file) == first
    file.write_bytes(b"two")
    assert digests.of(file) != first
