"""The client of a server, and what it says where there is none, a dead, a hung or another one."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.runs import by_two_ranks
from tvg_lightning.engines import claims, vllm_remote
from tvg_lightning.engines import server as server_module
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

    version = "0.32.0"
    faults: ClassVar[list[Exception]] = []  # of the next answers

    def __init__(self, model: EngineModel, settings: VLLMSettings, device: torch.device) -> None:
        assert (model.folder / "config.json").read_text(encoding="utf-8") == "{}"
        assert model.dtype == torch.bfloat16
        self.sum = 0.0

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        self.sum = sum(float(x.sum()) for _, x in weights)

    def generate(self, asked: Asked) -> list[SampledRow]:
        if asked.generation.max_new_tokens == 13:
            Event().wait(3)
        if self.faults:
            raise self.faults.pop()
        return [SampledRow((row.seed,), (-self.sum,), False) for row in asked.rows]


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    with rollouts_on(port) as (_, url):
        yield url


@contextmanager
def rollouts_on(port: int = 0) -> Iterator[tuple[RolloutServer, str]]:
    rollouts = RolloutServer(VLLMSettings(sleeps=False), torch.device("cpu"))
    with (
        serve(rollouts, "127.0.0.1", port) as http,
        running(http.serve_forever, http.shutdown),
        running(rollouts.work, rollouts.end),
    ):
        yield rollouts, f"http://127.0.0.1:{http.server_address[1]}"


@contextmanager
def running(work: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join()


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LocalVLLM", Double)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which a client would have waited."""
    seconds: list[float] = []
    monkeypatch.setattr(vllm_remote.time, "sleep", seconds.append)
    return seconds


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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


def test_a_folder_keeps_the_name_that_the_run_gave_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a link leads on this machine says nothing of the server's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "weights").symlink_to(tmp_path / "disk")
    ours, asked = client(url, tmp_path), list[Any]()
    post = ours._post
    monkeypatch.setattr(ours, "_post", lambda call, **body: (asked.append(body), post(call, **body))[1])
    ours.load(iter([("a", torch.ones(1))]))
    (file,) = asked[0]["json"]["files"]
    assert Path(file).parent == tmp_path / "weights"


def test_other_weights_or_another_model_are_no_answer(url: str, tmp_path: Path) -> None:
    ours = client(url, tmp_path)
    with pytest.raises(ValueError, match=r"has the weights \(none\), not"):
        ours.generate(ASKED)
    ours.load(iter([("a", torch.ones(1))]))
    ours.weights = "weights-of-before"
    with pytest.raises(ValueError, match=r"could not do generate: this server has the weights .*--ckpt_path last"):
        ours.generate(ASKED)
    del ours
    (tmp_path / "model" / "tokenizer.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="could not do model: this server runs another model already"):
        client(url, tmp_path)


def test_a_folder_that_the_server_does_not_see(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = client(url, tmp_path)

    def nowhere(*given: Any) -> None:
        given[3].append(Path("/nowhere/weights.safetensors"))

    monkeypatch.setattr(vllm_remote, "_write", nowhere)
    with pytest.raises(ValueError, match=r"there is no weight file /nowhere/.* vllm\.weights_folder"):
        ours.load(iter([("a", torch.ones(1))]))


def test_a_server_that_is_not_there_or_hangs(
    url: str, tmp_path: Path, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with pytest.raises(ValueError, match=rf"127.0.0.1:{port} gave no answer to model \(ConnectError.*start the server"):
        client(f"http://127.0.0.1:{port}", tmp_path, retries=3)
    assert waits == [5.0, 10.0, 20.0]
    assert "next try in 20 s" in caplog.text
    ours = client(url, tmp_path, timeout_s=0.5)
    ours.load(iter([("a", torch.ones(1))]))
    slow = Asked(ASKED.prompts, ASKED.rows, GenerationSettings(max_new_tokens=13), end_id=2)
    with pytest.raises(ValueError, match=r"gave no answer to generate within vllm\.timeout_s, 0\.5 s"):
        ours.generate(slow)
    assert waits == [5.0, 10.0, 20.0], "no more tries"
    with socket.socket() as mute:  # takes a connection, and no more
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(ValueError, match=r"gave no answer to model within vllm\.timeout_s, 0\.2 s"):
            client(f"http://127.0.0.1:{mute.getsockname()[1]}", tmp_path, timeout_s=0.2, retries=2)


def test_a_fault_that_passes_does_not_end_the_run(url: str, tmp_path: Path, waits: list[float]) -> None:
    ours = client(url, tmp_path, retries=1)
    ours.load(iter([("a", torch.ones(1))]))
    Double.faults = [RuntimeError("out of memory")]
    assert ours.generate(ASKED)[0].ids == (7,)
    assert waits == [5.0]
    Double.faults = [RuntimeError("out of memory")] * 2
    with pytest.raises(ValueError, match=r"could not do generate: RuntimeError: out of memory\. The run stops"):
        ours.generate(ASKED)
    assert Double.faults == [] and ours.generate(ASKED)[0].ids == (7,)


def test_a_fault_of_our_own_ends_the_server_and_is_told(tmp_path: Path) -> None:
    rollouts, told = RolloutServer(VLLMSettings(sleeps=False), torch.device("cpu")), []

    def ask() -> None:
        ours = client(url, tmp_path)
        ours.load(iter([("a", torch.ones(1))]))
        Double.faults = [AssertionError("a hole in vLLM")]
        with pytest.raises(
            ValueError, match="could not do generate: the server failed: what it wrote says why"
        ) as error:
            ours.generate(ASKED)
        told.append(error)

    with serve(rollouts, "127.0.0.1", 0) as http, running(http.serve_forever, http.shutdown):
        url = f"http://127.0.0.1:{http.server_address[1]}"
        with running(ask, lambda: None), pytest.raises(AssertionError, match="a hole in vLLM"):
            rollouts.work()
    assert told


def test_a_run_that_begins_before_its_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, started = free_port(), []

    def start(_: float) -> None:
        started.append(serving(port))
        started[-1].__enter__()

    monkeypatch.setattr(vllm_remote.time, "sleep", start)
    ours = client(f"http://127.0.0.1:{port}", tmp_path, retries=1)
    ours.load(iter([("a", torch.ones(1))]))
    assert ours.generate(ASKED)[0].logp == (-1.0,)
    started[0].__exit__(None, None, None)


def test_a_server_that_is_started_anew_between_steps(tmp_path: Path) -> None:
    """It has no weights, or the checkpoint's: nothing is answered from those."""
    port = free_port()
    with serving(port) as url:
        ours = client(url, tmp_path)
        ours.load(iter([("a", torch.ones(1))]))
    with serving(port):
        with pytest.raises(
            ValueError, match=r"could not do generate: this server has no model yet: it was started anew"
        ):
            ours.generate(ASKED)
        with pytest.raises(ValueError, match=r"could not do weights: this server has no model yet.*--ckpt_path last"):
            ours.load(iter([("a", torch.ones(1))]))
        resumed = client(url, tmp_path)
        with pytest.raises(ValueError, match=r"has the weights \(none\)"):
            resumed.generate(ASKED)
        resumed.load(iter([("a", torch.full((1,), 2.0))]))
        assert resumed.generate(ASKED)[0].logp == (-2.0,)


def test_a_second_run_is_refused_while_the_first_lives(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setattr(claims, "_BEAT_S", 0.05)
    monkeypatch.setattr(claims, "LEASE_S", 2.0)
    ours = client(url, tmp_path)
    ours.load(iter([("a", torch.ones(1))]))
    Event().wait(2.5)  # it has nothing to ask for, and says that it lives
    words = (
        r"could not do model: it works for another run, process \d+ on .* \(last heard of \d s ago\): .*another port"
    )
    with pytest.raises(ValueError, match=words):
        client(url, tmp_path, retries=1)
    assert waits == [5.0], "it may be on its end"
    assert ours.generate(ASKED)[0].logp == (-1.0,)
    del ours
    theirs = client(url, tmp_path)
    theirs.load(iter([("a", torch.zeros(1))]))


def test_a_run_that_was_killed_makes_room(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it only slept, it hears of the other instead of taking its weights for its own."""
    monkeypatch.setattr(claims, "LEASE_S", 0.0)
    ours, theirs = client(url, tmp_path), client(url, tmp_path)
    theirs.load(iter([("a", torch.ones(1))]))
    with pytest.raises(ValueError, match="works for another run by now"):
        ours.load(iter([("a", torch.zeros(1))]))
    with pytest.raises(ValueError, match=r"has the weights weights-\w+, not \(none\): another run"):
        ours.generate(ASKED)
    assert theirs.generate(ASKED)[0].logp == (-1.0,)


def _of_two(rank: int, folder: Path) -> None:
    url = (folder / "url").read_text()
    (folder / str(rank)).mkdir()
    ours = client(url, folder / str(rank))
    ours.load(iter([("a", torch.full((1,), 2.0))]))
    assert ours.generate(ASKED)[0].logp == (-2.0,)
    weights = ours.weights
    if rank == 0:
        ours.weights = "others"  # the first process's answers alone are refused
    with pytest.raises(ValueError, match=r"not others: another run"):
        ours.generate(ASKED)
    ours.weights = weights
    if rank == 0:
        (folder / "0" / "weights").rmdir()
        (folder / "0" / "weights").write_text("a file")
    for fault in (
        lambda: ours.load(iter([("a", torch.ones(1))])),
        lambda: client(f"{url}/v1", folder / str(rank)),
    ):
        with pytest.raises(ValueError, match=r"cannot be written|no call /v1"):
            fault()


@pytest.mark.slow
def test_a_fault_of_one_process_is_one_of_all(url: str, tmp_path: Path) -> None:
    """They would wait for it for ever."""
    (tmp_path / "url").write_text(url)
    by_two_ranks(_of_two, tmp_path)


class Other(BaseHTTPRequestHandler):
    """Some other server: 404 for vLLM's own, 200 and a page for a web site, 502 for a gateway."""

    status = 404

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "words", "num_waits"),
    [
        (404, r"is no rollout server of this version of the project \(status 404 for model\): is vllm\.url right", 0),
        (200, r"is no rollout server of this version of the project \(status 200 for model\): is vllm\.url right", 0),
        (502, r"could not do model: status 502: <html>welcome", 2),
    ],
)
def test_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], status: int, words: str, num_waits: int
) -> None:
    monkeypatch.setattr(Other, "status", status)
    with (
        HTTPServer(("127.0.0.1", 0), Other) as http,
        running(http.serve_forever, http.shutdown),
        pytest.raises(ValueError, match=words),
    ):
        client(f"http://127.0.0.1:{http.server_address[1]}", tmp_path, retries=2)
    assert len(waits) == num_waits


def test_urls(url: str, tmp_path: Path) -> None:
    client(f"{url}/", tmp_path)
    with pytest.raises(ValueError, match=r"could not do model: no call /v1/model; .*: vllm\.url is the address alone"):
        client(f"{url}/v1", tmp_path)


def test_versions(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    client(url, tmp_path)
    assert "vLLM" not in caplog.text
    monkeypatch.setattr(Double, "version", "0.31.1")
    with serving() as other:
        client(other, tmp_path)
    assert f"vLLM 0.31.1 runs on {other}; 0.32 was tested" in caplog.text
    monkeypatch.setattr(vllm_remote, "PROTOCOL", "3")
    with pytest.raises(ValueError, match=r"no rollout server of this version of the project.*is the server's code"):
        client(url, tmp_path)


def test_weights_that_cannot_be_written(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are taken all the same: other processes help to gather them."""
    monkeypatch.setattr(vllm_remote, "_PART_BYTES", 100)
    ours = client(url, tmp_path)
    (tmp_path / "weights").write_text("a file")
    given = iter([("a", torch.ones(30)), ("b", torch.ones(30)), ("c", torch.ones(30))])
    with pytest.raises(ValueError, match=r"new weights cannot be written to vllm\.weights_folder .*weights: .*exists"):
        ours.load(given)
    assert list(given) == []


def test_no_more_weights_are_held_than_a_part_and_a_tensor(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def save(part: dict[str, Tensor], file: Path) -> None:
        held.append(sum(weight.nbytes for weight in part.values()))
        save_file(part, file)

    monkeypatch.setattr(vllm_remote, "_PART_BYTES", 1000)
    monkeypatch.setattr(vllm_remote, "save_file", save)
    client(url, tmp_path).load((str(number), torch.ones(100)) for number in range(11))
    assert held == [1200, 1200, 1200, 800]


def test_a_connection_that_says_nothing_holds_nobody_up(url: str, tmp_path: Path) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))):
        ours = client(url, tmp_path, timeout_s=20)
        ours.load(iter([("a", torch.ones(1))]))
        assert ours.generate(ASKED)[0].ids == (7,)


def a_model(**changed: object) -> bytes:
    whole = {"run": "a", "name": "b", "files": {}, "model_type": "c", "dtype": "float32", "suppressed_ids": []}
    return json.dumps(whole | changed).encode()


def test_what_no_client_asks_is_refused(url: str) -> None:
    import httpx

    assert httpx.get(f"{url}/health").json() == {"weights": "", "run": ""}
    answer = httpx.post(f"{url}/other", content=b"")
    assert answer.status_code == 400 and answer.text.startswith(
        "no call /other; there are /model, /weights, /generate:"
    )
    for call, content in (
        ("generate", b"nonsense"), ("model", b"{}"), ("model", b"[]"), ("model", b"{"), ("weights", b"{}"),
        ("weights", b'{"run": "a", "weights": "b", "files": 3}'), ("alive", b"{}"),
        ("model", b'{"run": "a", "name": "b", "files": [], "model_type": 1, "dtype": 2, "suppressed_ids": 3}'),
        ("model", a_model(files={"config.json": 1})), ("model", a_model(suppressed_ids=3)),
        ("model", a_model(suppressed_ids=["1"])), ("model", a_model(dtype=None)),
    ):  # fmt: skip
        answer = httpx.post(f"{url}/{call}", content=content)
        assert answer.status_code == 400 and answer.text.startswith("not a call of this version: "), content
    assert httpx.post(f"{url}/generate", content=iter([b"a part"])).status_code == 411
    assert httpx.get(url).json() == {"weights": "", "run": ""}, "it goes on"
