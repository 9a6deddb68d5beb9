"""The command on checkpoints of both kinds, and pushing by the hub's own client to a small server."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from transformers import AutoModelForImageTextToText

from tests.policy.test_export import checkpoint_of, trained_policy
from tests.tools.hub import HubServer
from tvg_lightning.__main__ import main
from tvg_lightning.tools import export


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    return checkpoint_of(trained_policy("lora"), tmp_path / "adapters.ckpt")


def test_a_whole_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ckpt = checkpoint_of(trained_policy(), tmp_path / "full.ckpt")
    main(["export", "--ckpt", str(ckpt), "--out", str(tmp_path / "models" / "out")])
    assert capsys.readouterr().out == f"the whole model in {tmp_path / 'models' / 'out'}\n"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["out"]
    AutoModelForImageTextToText.from_pretrained(tmp_path / "models" / "out")
    with pytest.raises(ValueError, match="nothing to merge"):
        export.main(ckpt, tmp_path / "merged", merge=True)


def test_adapters_and_their_merge(adapters: Path, tmp_path: Path) -> None:
    main(["export", "--ckpt", str(adapters), "--out", str(tmp_path / "peft")])
    assert {p.name for p in (tmp_path / "peft").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    main(["export", "--ckpt", str(adapters), "--out", str(tmp_path / "merged"), "--merge"])
    AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")


def test_what_is_there_is_never_overwritten(adapters: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit, match="exists already"):
        main(["export", "--ckpt", str(adapters), "--out", str(tmp_path / "out")])


def test_a_base_that_has_moved(adapters: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no safetensors"):
        export.main(adapters, tmp_path / "out", base=str(tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer() as running:
        monkeypatch.setattr(export, "HfApi", partial(HfApi, endpoint=running.url, token="hf_none"))
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    return tmp_path / "model"


@pytest.mark.parametrize("public", [False, True])
def test_a_new_repository_is_private_unless_asked(public: bool, hub: HubServer, folder: Path) -> None:
    export.upload(folder, "me/new", public)
    assert hub.is_private["me/new"] is not public and hub.files == {"me/new": {"config.json": b"{}"}}


def test_push_after_export(hub: HubServer, adapters: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["export", "--ckpt", str(adapters), "--out", str(out), "--push", "me/private"])
    assert hub.files == {"me/private": {path.name: path.read_bytes() for path in out.iterdir()}}
    assert hub.is_private["me/private"]


def test_nothing_private_goes_to_a_public_place(hub: HubServer, folder: Path) -> None:
    with pytest.raises(ValueError, match="me/public is there already and public"):
        export.upload(folder, "me/public", public=False)
    assert not hub.files
    export.upload(folder, "me/public", public=True)
    assert hub.files.keys() == {"me/public"}


def test_what_cannot_be_a_name_is_said_before_the_work(adapters: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="my policy"):
        export.main(adapters, tmp_path / "out", push="me/my policy")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("status", [401, 403, 0])  # 0: nobody is there
def test_a_hub_that_does_not_take_it_leaves_the_folder(
    status: int, hub: HubServer, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.status = status
    if status == 0:
        monkeypatch.setattr(export, "HfApi", partial(HfApi, endpoint="http://127.0.0.1:9", token="hf_none"))
    with pytest.raises(ValueError, match="is written, but could not be pushed to me/new: ") as caught:
        export.main(adapters, tmp_path / "out", push="me/new")
    assert (tmp_path / "out").is_dir() and "hf_none" not in str(caught.value)
