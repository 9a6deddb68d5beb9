"""Video to patches, side by side with qwen-vl-utils and transformers' processor, on one core; and memory.

    pip install --target peer --no-deps qwen-vl-utils==0.0.14 torchvision==0.28.0 requests urllib3 idna
    python -m benchmarks.video speed --peer peer --videos FOLDER --out runs/video_speed
    python -m benchmarks.video memory

speed: 64 frames of at most 128 * 28 * 28 pixels, decoded, resized and cut into patches. Both sides and every way
take turns in one process, which is held on one core with one thread of torch; a number is the median of --repeats
turns, in seconds of CPU time a video (all threads), with the least and the most in brackets; a ratio is the median of
the turns' own ratios, the peer's time through ours. OUT.md has the tables for docs/video.md, OUT.json every turn.
The cold column is a first epoch (decoding, and writing into the frame cache), the warm one every later epoch (reading
from it); the table of growth says what the same clip costs by decord, by PyAV, and without jumps or leaving frames out.
memory: resident memory of a loader, its workers included, over 10,000 clips.
"""

import argparse
import json
import logging
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import redirect_stderr
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import av
import decord
import numpy as np
import psutil
import torch

from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.decoders import UnreadableError, av_frames, index_frames
from tvg_lightning.data.probing import video_files
from tvg_lightning.data.video import (
    FrameSettings,
    VideoClip,
    VideoError,
    read_clip,
    resize_frames,
    sample_frames,
)
from tvg_lightning.data.workers.pool import ClipPool, Result
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.policy.patches import normalise, patchify
from tvg_lightning.progress import tracked

NUM_FRAMES = 64
SIDE = 28
PIXELS = 128 * SIDE * SIDE
FRAMES = FrameSettings(uniform_frames=NUM_FRAMES, max_tokens=128)
RENDERED = {"rendered_30s.mp4": 1, "rendered_3min.mp4": 6, "rendered_10min.mp4": 20}  # times the first
Turns = dict[str, list[float]]  # CPU seconds of each way, turn by turn
PEER_ERRORS = (RuntimeError, ValueError, ImportError, AttributeError, OSError, KeyError, decord.DECORDError)


# ---- the rendered files: 640 x 360 at 30 frames a second, x264's own defaults (a key frame every 250)


def render(folder: Path) -> list[Path]:
    """Thirty seconds are encoded; the longer files hold the same packets over and over."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in RENDERED]
    if not paths[0].exists():
        encode(paths[0])
    for path, times in zip(paths, RENDERED.values(), strict=True):
        if not path.exists():
            repeat(paths[0], path, times)
    return paths


def encode(path: Path, num_frames: int = 900, noise_levels: int = 6) -> None:
    generator = np.random.default_rng(0)
    world = np.zeros((1400, 1400, 3), np.float32)
    for step in (350, 100, 35, 10, 4):
        coarse = generator.normal(size=(1400 // step, 1400 // step, 3)).astype(np.float32)
        world += np.repeat(np.repeat(coarse, step, 0), step, 1) * step**0.5
    world = (world - world.min()) / (world.max() - world.min()) * 235
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for k in range(num_frames):
            y, x = int(300 + 250 * np.sin(k / 210)), int(350 + 300 * np.sin(k / 330))  # the camera pans
            picture = world[y : y + 360, x : x + 640].astype(np.uint8)
            top, left = int(140 + 100 * np.cos(k / 23)), int(280 + 200 * np.sin(k / 30))  # a thing moves
            picture[top : top + 80, left : left + 80] = world[:80, :80]
            noise = generator.integers(0, noise_levels, (360, 640, 1), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture + noise, format="rgb24")))
        output.mux(stream.encode(None))


def repeat(source: Path, path: Path, times: int) -> None:
    with av.open(str(path), "w") as output, av.open(str(source)) as first:
        stream = output.add_stream_from_template(first.streams.video[0])
        length = first.streams.video[0].duration
        for turn in range(times):
            with av.open(str(source)) as file:
                for packet in file.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                        packet.stream = stream
                        output.mux(packet)


# ---- the two sides


def load_peer(folder: Path) -> Callable[[Path, int], Any]:
    """fetch_video and Qwen2VLVideoProcessor; torchvision's CUDA half is stood in for by two empty operators."""
    os.environ["FORCE_QWENVL_VIDEO_READER"] = "decord"
    sys.path.append(str(folder))
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from qwen_vl_utils.vision_process import fetch_video
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    logging.disable(logging.WARNING)
    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=False)

    def peer(path: Path, num_frames: int) -> Any:
        assert library
        wish = {"video": str(path), "nframes": num_frames, "max_pixels": PIXELS, "min_pixels": 784}
        with redirect_stderr(StringIO()):
            video = fetch_video(wish)
        return processor(videos=[video], do_resize=False, return_tensors="pt")

    return peer


def whole(path: Path) -> torch.Tensor:
    """Every frame decoded from the first to the last, as a reader without jumps must."""
    index = replace(index_frames(path), exact_jumps=False)
    taken = sample_frames(index.times_s, FRAMES).taken
    return av_frames(index, taken, partial(resize_frames, side=SIDE, max_pixels=PIXELS))


def frames_of(pool: ClipPool, request: ClipRequest) -> torch.Tensor:
    """Frames as a training process without workers reads them: from the cache, or decoded and stored."""
    clip = pool.submit(request).result()
    assert isinstance(clip, VideoClip)
    return clip.frames


def ways_of(path: Path, folder: Path, peer: Callable[[Path, int], Any]) -> dict[str, Callable[[], Any]]:
    """The functions to time for a file, by column of the tables."""
    cold, request = folder / "cold", ClipRequest(str(path), FRAMES, side=SIDE)
    warm = ClipPool(0, cache=FrameCache(folder / "warm"))
    num_frames = len(read_clip(path, FRAMES, side=SIDE).times_s)
    frames_of(warm, request)

    def first_epoch() -> Any:
        shutil.rmtree(cold, ignore_errors=True)
        return patchify(frames_of(ClipPool(0, cache=FrameCache(cold)), request))

    return {
        "peer": lambda: peer(path, num_frames),
        "cold": first_epoch,
        "warm": lambda: patchify(frames_of(warm, request)),
        "decord": lambda: patchify(read_clip(path, replace(FRAMES, decoder="decord"), side=SIDE).frames),
        "PyAV": lambda: patchify(read_clip(path, replace(FRAMES, decoder="pyav"), side=SIDE).frames),
        "every frame": lambda: patchify(whole(path)),
    }


def measure(ways: dict[str, Callable[[], Any]], repeats: int) -> Turns:
    """CPU seconds of each way and turn; none for one that fails. Ways take turns, so that a busy spell hits all."""
    seconds: Turns = {name: [] for name in ways}
    failed: set[str] = set()
    for turn in range(repeats + 1):
        for name, way in ways.items():
            began = time.process_time()  # of all threads
            try:
                way()
            except (*PEER_ERRORS, VideoError, UnreadableError):
                failed.add(name)
            if turn:  # the first warms up
                seconds[name].append(time.process_time() - began)
    return {name: [] if name in failed else times for name, times in seconds.items()}


def speed(peer_folder: Path, videos: Path | None, rendered: Path, repeats: int, out: Path) -> None:
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    peer = load_peer(peer_folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "repeats": repeats, "load_before": os.getloadavg(), "files": []}
    files = [*render(rendered), *(video_files([videos]) if videos else ())]
    for path in tracked(files, "reading", "file", len(files)):
        try:
            index, backend = index_frames(path), read_clip(path, FRAMES, side=SIDE).backend
        except (UnreadableError, VideoError):
            continue
        if len(index.pts) < NUM_FRAMES:
            continue
        with tempfile.TemporaryDirectory() as folder:
            turns = measure(ways_of(path, Path(folder), peer), repeats)
        about = {"file": path.name, "seconds": index.times_s[-1], "frames": len(index.pts), "backend": backend}
        report["files"].append({**about, "cpu_s": turns})
        patches, _ = patchify(read_clip(path, FRAMES, side=SIDE).frames)
        report["normalise_s"] = measure({"it": partial(normalise, patches, torch.bfloat16)}, repeats)["it"]
        report["load_after"] = os.getloadavg()
        out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        out.with_suffix(".md").write_text(tables(report), encoding="utf-8")
    write(tables(report))


def tables(report: dict[str, Any]) -> str:
    """A report as Markdown tables, for docs/video.md."""
    lines = ["| file | frames | read by | peer s | cold s | peer / cold | warm s | peer / warm |", "|" + "---|" * 8]
    growth = ["| file | s | cold s | decord s | PyAV s | every frame s | every frame / cold |", "|" + "---|" * 7]
    ratios: dict[str, list[float]] = {"cold": [], "warm": []}
    for file in report["files"]:
        took: Turns = file["cpu_s"]
        cells = [file["file"], str(file["frames"]), file["backend"], cell(took["peer"])]
        for column, found in ratios.items():
            by_turn = ratio(took["peer"], took[column])
            found += [statistics.median(by_turn)] if by_turn else []
            cells += [cell(took[column]), cell(by_turn)]
        lines.append("| " + " | ".join(cells) + " |")
        cells = [file["file"], f"{file['seconds']:.0f}", *(cell(took[way]) for way in ("cold", "decord", "PyAV"))]
        cells += [cell(took["every frame"]), cell(ratio(took["every frame"], took["cold"]))]
        growth.append("| " + " | ".join(cells) + " |")
    ends = [
        f"peer / {name}: least {min(found):.1f}, median {statistics.median(found):.1f} over {len(found)} files  "
        for name, found in ratios.items()
        if found
    ]
    ends.append(f"normalising here instead of on the device would add {cell(report['normalise_s'])} s a video  ")
    ends.append(f"{report['machine']}; {report['repeats']} turns; load {report['load_before'][0]:.1f} before")
    return "\n".join([*lines, "", *growth, "", *ends, ""])


def machine() -> str:
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"one core of {(models or [platform.machine()])[0]}, torch {torch.__version__}, PyAV {av.__version__}"


def ratio(ours: list[float], theirs: list[float]) -> list[float]:
    """Turn by turn; none where one of the two fails."""
    return [one / other for one, other in zip(ours, theirs, strict=True)] if ours and theirs else []


def cell(values: list[float]) -> str:
    """Median, least and most.

    >>> cell([1.0, 4.0, 2.0]), cell([])
    ('2 (1-4)', 'fails')
    """
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})" if values else "fails"


# ---- memory


def memory(num_clips: int, num_workers: int) -> None:
    """Resident memory of this process and of its workers, every tenth of the way.

    Twenty files in turn, through a cache that holds half of them: all are decoded, stored, evicted, again and again.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, frames = Path(name), FrameSettings(max_tokens=16)
        paths = [folder / f"{number}.mp4" for number in range(20)]
        for number, path in enumerate(paths):
            encode(path, num_frames=12 + number)
        bytes_a_clip = frames_of(ClipPool(0), ClipRequest(str(paths[0]), frames, side=SIDE)).numel()
        with ClipPool(num_workers, cache=FrameCache(folder / "cache", max_bytes=10 * bytes_a_clip)) as pool:
            write("| clips | main MiB | workers MiB |\n|---|---|---|")
            coming: deque[Future[Result]] = deque()
            for number in range(1, num_clips + 1):
                coming.append(pool.submit(ClipRequest(str(paths[number % len(paths)]), frames, side=SIDE)))
                if len(coming) > 2 * num_workers:  # read ahead
                    coming.popleft().result()
                if number == 100 or number % max(1, num_clips // 10) == 0:
                    process = psutil.Process()
                    workers = sum(child.memory_info().rss for child in process.children())
                    write(f"| {number} | {process.memory_info().rss / 2**20:.0f} | {workers / 2**20:.0f} |")
            write(f"hits {pool.cache.files.hits}, misses {pool.cache.files.misses}")


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_speed = commands.add_parser("speed")
    of_speed.add_argument("--peer", type=Path, required=True, help="where pip put the peer")
    of_speed.add_argument("--videos", type=Path, help="also all videos of a folder with at least 64 frames")
    of_speed.add_argument("--rendered", type=Path, default=Path("data/benchmark_videos"))
    of_speed.add_argument("--repeats", type=int, default=5)
    of_speed.add_argument("--out", type=Path, default=Path("runs/video_speed"), help="of OUT.md and OUT.json")
    of_memory = commands.add_parser("memory")
    of_memory.add_argument("--num_clips", type=int, default=10_000)
    of_memory.add_argument("--num_workers", type=int, default=2)
    given = parser.parse_args()
    if given.command == "speed":
        speed(given.peer, given.videos, given.rendered, given.repeats, given.out)
    else:
        memory(given.num_clips, given.num_workers)


if __name__ == "__main__":
    main()
