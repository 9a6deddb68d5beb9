from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.teacher.material import write_material
from tests.teacher.server import TeacherServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TeacherServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with TeacherServer() as running:
        yield running


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``a.mp4``: 4 s, 8 frames."""
    return write_material(tmp_path_factory.mktemp("material"), 1)[1]
