"""``python -m tvg_lightning serve``: a vLLM on a machine of its own, for runs with ``engine: vllm_server``."""

import logging
import sys
from importlib.util import find_spec
from threading import Thread

import torch

from tvg_lightning.engines.server import RolloutServer
from tvg_lightning.engines.server import serve as http_server
from tvg_lightning.engines.settings import VLLMSettings

log = logging.getLogger(__name__)


def main(
    host: str = "127.0.0.1",
    port: int = 8000,
    memory: float = 0.9,
    cache_gib: int = 4,
    max_length: int | None = None,
    max_rows: int = 64,
    eager: bool = False,
) -> None:
    """Sample completions for the processes of a run; the run brings model and weights. Ctrl-C ends it.

    There is no password: serve in a network that you trust.

    Args:
        host: address to listen on; 0.0.0.0 is every one of this machine.
        port: port to listen on; 0 takes a free one.
        memory: share of the GPU's memory for weights and cache.
        cache_gib: GiB of keys and values on a CPU.
        max_length: most tokens of a prompt and its completion together (default: as many as the cache has room for).
        max_rows: completions that are decoded at one time.
        eager: without compilation and captured graphs, which start slower and decode faster.
    """
    if find_spec("vllm") is None:
        raise ValueError("vLLM is not installed here: make install-vllm (docs/rollouts.md)")
    if not 0 <= port < 2**16:
        raise ValueError(f"--port must lie from 0 to 65535, not {port}")
    settings = VLLMSettings(
        memory=memory, cache_gib=cache_gib, max_length=max_length, max_rows=max_rows, sleeps=False, eager=eager
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rollouts = RolloutServer(settings, device)
    with http_server(rollouts, host, port) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"serving rollouts on http://{host}:{server.server_address[1]}\n")
        sys.stdout.flush()
        try:
            rollouts.work()
        except KeyboardInterrupt:
            log.info("ended")
        finally:
            server.shutdown()
