"""The client of a server, and what it says where there is none, a dead, a hung or another one."""

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from tvg_lightning.engines import server as server_module
from tvg_lightning.engines import vllm_remote
from tvg_lightning.engines.asking import Asked, AskedPrompt, AskedRow, SampledRow
from tvg_lightning.engines.server import RolloutServer, serve
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel
from tvg_lightning.engines.vllm_remote import RemoteVLLM
from tvg_lightning.policy.settings import GenerationSettings

PROMPT = AskedPrompt((4, 9), torch.zeros(3, 2, dtype=torch.long), torch.ones(1, 4), torch.tensor([False, True]))
ASKED = Asked([PROMPT], [AskedRow(0, (), 7)], GenerationSettings(max_new_tokens=3), end_id=2)


class Double:
    """In place of a vLLM: says its weights' sum and the seed."""

    def __init__(self, model: EngineModel, settings: VLLMSettings, device: torch.device) -> None:
        assert (model.folder / "config.json").read_text(encoding="utf-8") == "{}"
        assert model.dtype == torch.bfloat16
        self.sum = 0.0

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self.sum = sum(float(x.sum()) for _, x in weights)

    def generate(self, asked: Asked) -> list[SampledRow]:
        if asked.generation.max_new_tokens == 13:
            Event().wait(3)
        return [SampledRow((row.seed,), (-self.sum,), False) for row in asked.rows]


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(server_module, "LocalVLLM", Double)
    settings = VLLMSettings(sleeps=False)
    with serve(RolloutServer(settings, torch.device("cpu")), "127.0.0.1", 0) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def client(url: str, folder: Path, **more: Any) -> RemoteVLLM:
    model = folder / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    settings = VLLMSettings(url=url, weights_folder=str(folder / "weights"), **{"retries": 0, **more})
    return RemoteVLLM(EngineModel(model, "qwen2_5_vl", torch.bfloat16, (1, 2)), settings)


def test_weights_go_by_files_and_leave_none(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_remote, "_PART_BYTES", 100)
    ours = client(url, tmp_path)
    for total in (3.0, 5.0):
        ours.load(iter([("a", torch.full((30,), total / 30)), ("b", torch.zeros(30)), ("c", torch.zeros(2))]))
        (row,) = ours.generate(ASKED)
        assert row.ids == (7,)
        assert row.logp == pytest.approx((-total,))
        assert list((tmp_path / "weights").iterdir()) == []


def test_other_weights_or_another_model_are_no_answer(url: str, tmp_path: Path) -> None:
    ours, others = client(url, tmp_path), client(url, tmp_path)
    with pytest.raises(ValueError, match=r"has the weights \(none\), not"):
        ours.generate(ASKED)
    ours.load(iter([("a", torch.ones(1))]))
    others.load(iter([("a", torch.ones(1))]))
    with pytest.raises(ValueError, match=r"could not do generate: this server has the weights .*--ckpt_path last"):
        ours.generate(ASKED)
    (tmp_path / "model" / "tokenizer.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="could not do model: this server runs another model already"):
        client(url, tmp_path)


def test_a_folder_that_the_server_does_not_see(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = client(url, tmp_path)
    monkeypatch.setattr(vllm_remote, "_written", lambda *_: [Path("/nowhere/weights.safetensors")])
    with pytest.raises(ValueError, match=r"there is no weight file /nowhere/.* vllm\.weights_folder"):
        ours.load(iter([("a", torch.ones(1))]))


def test_a_server_that_is_not_there_or_hangs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(vllm_remote.time, "sleep", waits.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ValueError, match=rf"127.0.0.1:{port} gave no answer to model \(ConnectError.*start the server"):
        client(f"http://127.0.0.1:{port}", tmp_path, retries=3)
    assert waits == [1.0, 2.0, 4.0]
    assert "next try in 4 s" in caplog.text
    ours = client(url, tmp_path, timeout_s=0.5)
    ours.load(iter([("a", torch.ones(1))]))
    slow = Asked(ASKED.prompts, ASKED.rows, GenerationSettings(max_new_tokens=13), end_id=2)
    with pytest.raises(ValueError, match=r"gave no answer to generate \(ReadTimeout"):
        ours.generate(slow)


def test_what_no_client_asks_is_refused(url: str) -> None:
    import httpx

    assert httpx.get(f"{url}/health").json() == {"weights": ""}
    answer = httpx.post(f"{url}/other", content=b"")
    assert (answer.status_code, answer.text) == (400, "no call /other; there are /model, /weights, /generate")
    assert httpx.post(f"{url}/generate", content=b"nonsense").status_code == 400
    assert httpx.post(f"{url}/model", content=b"{}").status_code == 400
