"""The command on checkpoints of both kinds, and the hub, which is only played here."""

from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText

from tests.policy.test_export import checkpoint_of, trained_policy
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


class Hub:
    """HfApi as far as the command uses it."""

    there: dict[str, bool]  # name of a repository: is it private?
    log: list[tuple[str, object]]
    is_down = False

    def repo_exists(self, name: str) -> bool:
        if self.is_down:
            raise OSError("no network")
        return name in self.there

    def create_repo(self, name: str, private: bool) -> None:
        self.log.append((name, private))

    def model_info(self, name: str) -> "Info":
        return Info(self.there[name])

    def upload_folder(self, repo_id: str, folder_path: Path) -> None:
        self.log.append((repo_id, folder_path))


class Info:
    def __init__(self, private: bool) -> None:
        self.private = private


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    monkeypatch.setattr(Hub, "there", {"me/private": True, "me/public": False}, raising=False)
    monkeypatch.setattr(Hub, "log", [], raising=False)
    monkeypatch.setattr(export, "HfApi", Hub)
    return Hub


@pytest.mark.parametrize("public", [False, True])
def test_a_new_repository_is_private_unless_asked(public: bool, hub: type[Hub], tmp_path: Path) -> None:
    export.upload(tmp_path, "me/new", public)
    assert hub.log == [("me/new", not public), ("me/new", tmp_path)]


def test_push_after_export(hub: type[Hub], adapters: Path, tmp_path: Path) -> None:
    main(["export", "--ckpt", str(adapters), "--out", str(tmp_path / "out"), "--push", "me/private"])
    assert hub.log == [("me/private", tmp_path / "out")]


def test_nothing_private_goes_to_a_public_place(hub: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="public"):
        export.upload(tmp_path, "me/public", public=False)
    assert hub.log == []


def test_no_network_leaves_the_folder(
    hub: type[Hub], adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_down", True)
    with pytest.raises(ValueError, match=r"is written, but could not be pushed.*no network"):
        export.main(adapters, tmp_path / "out", push="me/new")
    assert (tmp_path / "out").is_dir()
