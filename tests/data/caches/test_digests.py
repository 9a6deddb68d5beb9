import errno
import shutil
import time
from pathlib import Path

import pytest

from tests.data.conftest import alter_in_place
from tvg_lightning.data.caches.digests import digest_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    return path


def test_the_bytes_are_read_once_while_the_file_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of(file)
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)  # whoever reads now fails
        assert digest_of(file, first) is first
    time.sleep(0.02)  # the system's file times are that coarse
    alter_in_place(file)  # same size, same date
    second = digest_of(file, first)
    assert second is not None and second.digest != first.digest


def test_the_digest_is_of_the_content_not_the_name(file: Path) -> None:
    first, copy = digest_of(file), digest_of(shutil.copy2(file, file.with_name("b")))
    assert first is not None and copy is not None and first.digest == copy.digest and first.state != copy.state


def test_what_cannot_be_read_has_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (file.with_name("absent"), file.parent, file.with_name("x" * 300), file.with_name("a\0b")):
        assert digest_of(path) is None

    def damaged(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "open", damaged)
    assert digest_of(file) is None
