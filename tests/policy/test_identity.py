"""The same weights in other files are the same base; one changed number is another."""

import hashlib
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tvg_lightning.policy.identity import base_fingerprint, base_folder, weights_identity

WEIGHTS = {
    "a": torch.arange(12.0).reshape(6, 2).bfloat16(),
    "b": torch.tensor([1.0, 2.0]).bfloat16(),
    "c": torch.tensor(3.0).bfloat16(),
}


def fingerprint(folder: Path, weights: dict[str, torch.Tensor]) -> str:
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    return base_fingerprint(str(folder))


def test_a_fingerprint_by_hand(tmp_path: Path) -> None:
    """Rows 0, 1, 3 and 5 of a, which has 6; both numbers of b; c is a single one."""
    rows = {"[6, 2]": [0.0, 1.0, 2.0, 3.0, 6.0, 7.0, 10.0, 11.0], "[2]": [1.0, 2.0], "[]": [3.0]}
    hashes = [hashlib.sha256(shape.encode() + struct.pack(f"<{len(x)}f", *x)).digest() for shape, x in rows.items()]
    assert fingerprint(tmp_path / "ours", WEIGHTS) == hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def test_names_shards_ties_and_width_do_not_matter(tmp_path: Path) -> None:
    ours = fingerprint(tmp_path / "ours", WEIGHTS)
    renamed = {f"model.{name}": x.float() for name, x in WEIGHTS.items()}
    assert fingerprint(tmp_path / "renamed", renamed) == ours
    assert fingerprint(tmp_path / "tied", {**WEIGHTS, "again": WEIGHTS["a"].clone()}) == ours
    (tmp_path / "shards").mkdir()
    save_file({"a": WEIGHTS["a"]}, tmp_path / "shards" / "model-1.safetensors")
    save_file({"b": WEIGHTS["b"], "c": WEIGHTS["c"]}, tmp_path / "shards" / "model-2.safetensors")
    assert base_fingerprint(str(tmp_path / "shards")) == ours


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_another_number_or_shape_matters(name: str, tmp_path: Path) -> None:
    ours = fingerprint(tmp_path / "ours", WEIGHTS)
    other = WEIGHTS[name].clone()
    other.view(-1)[-1] += 1
    assert fingerprint(tmp_path / "other", {**WEIGHTS, name: other}) != ours
    assert fingerprint(tmp_path / "shape", {**WEIGHTS, name: WEIGHTS[name].unsqueeze(0)}) != ours


def test_what_has_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no safetensors"):
        base_fingerprint(str(tmp_path))
    with pytest.raises(ValueError, match="random weights"):
        base_folder("some/where.json", [])


def test_a_name_that_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("tvg_lightning.policy.identity.snapshot_download", no_network)
    with pytest.raises(ValueError, match=r'"some/name".*no network'):
        base_folder("some/name", [])


def test_identity_is_of_names_shapes_dtypes_and_bytes() -> None:
    weight = torch.arange(6, dtype=torch.bfloat16)
    states = [{"a": weight}, {"b": weight}, {"a": weight.reshape(2, 3)}, {"a": weight.view(torch.int16)}]
    states += [{"a": weight + 1}, {"a": weight, "b": weight}]
    assert len({weights_identity(state) for state in states}) == len(states)
    assert weights_identity({"a": weight, "b": weight}) == weights_identity({"b": weight.clone(), "a": weight})
