"""Two decoders behind one index of a file's frames: decord where it is exact, PyAV for every file.

PyAV lists the frames from the packets, without decoding, so both decoders agree on which frames there are
and when. Both start time at the file's first frame and apply the stored rotation; their frames are the same
to the last bit. decord decodes every frame up to the one asked for; PyAV can leave out those that no other
needs, and so costs less the farther apart the frames lie (docs/video.md has the numbers).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import decord
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

_CHUNK = 8  # frames held at full size at once: 8 frames of 1080p are 50 MB, 128 would be 800 MB
_ABSURD_S = 1e7  # about four months
_WHOLE = 0.9  # of the promised length must be there: headers round it
_JUMPABLE = {"mov", "mp4", "matroska", "webm"}  # containers in which decord's jumps were seen to land

Resize = Callable[[Tensor], Tensor]  # uint8 (T,H,W,3) to the final size


class UnreadableError(Exception):
    """A decoder gives up on a file; the reader turns it into a message for people."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The frames of a file in the order of showing."""

    path: Path
    pts: list[int]
    times_s: list[float]  # the same in seconds, the first frame at 0, ascending
    by_order: bool  # frames are told apart by their order, because the stored pts cannot be trusted
    exact_jumps: bool  # decoding may begin at every key frame
    entries: list[int]  # pts of the key frames
    codec: str


_Stretch = tuple[int | None, list[int]]  # jump to this pts (None: begin at the start), and find these frames


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    duration: int
    is_key: bool
    is_entry: bool  # a key frame after which nothing earlier is needed


def index_frames(path: Path) -> FrameIndex:
    """List the frames by their packets; where packets lack distinct times, by decoding all of them."""
    try:
        if path.is_file() and not path.stat().st_size:
            raise UnreadableError("the file is empty")
        with _open(path) as container:
            stream = _video_stream(container)
            packets = list(_packets(container, stream))
            _refuse_cut(path, packets, container, stream)
            names, base = set(container.format.name.split(",")), stream.time_base
            codec = stream.codec_context.codec.canonical_name  # "av1", whoever decodes it
        times = [packet.pts for packet in packets]
        by_order = "avi" in names or not _are_distinct(times)
        if by_order:
            times = _times_by_order(path, packets)
    except (av.FFmpegError, OSError) as error:
        raise UnreadableError(_first_line(error)) from error
    if not times or not _are_distinct(times):
        raise UnreadableError("it has no frames with times of their own")
    pts = _ascending(times)
    times_s = [float((time - pts[0]) * base) for time in pts]
    if times_s[-1] > _ABSURD_S:
        raise UnreadableError(f"absurd frame times, up to {times_s[-1]:.3g} s")
    exact_jumps = not by_order and bool(names & _JUMPABLE) and _are_closed(packets)
    entries = _ascending(packet.pts for packet in packets if packet.is_key)
    return FrameIndex(path, pts, times_s, by_order, exact_jumps, entries, codec)


def _times_by_order(path: Path, packets: list[_Packet]) -> list[int | None]:
    """The times of the frames that come out of the decoder, for files that do not store when they are shown.

    An .avi stores decode times only: the times that a decoder makes of them come out shuffled or doubled. But
    its frames come out in the order of showing, one for one, so the k-th is shown at the k-th of those times.
    """
    with _open(path) as container:
        decoded = [frame.pts for frame in container.decode(_video_stream(container))]
    dts = _ascending(packet.dts for packet in packets)
    if _are_distinct(dts) and len(dts) >= len(decoded):
        return [*dts[: len(decoded)]]
    return decoded


def shown_as(index: FrameIndex) -> tuple[int, int, int]:
    """Height and width as they are to be shown, and the clockwise turn in degrees that this takes."""
    try:
        with _open(index.path) as container:
            frame = next(container.decode(_video_stream(container)))
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise UnreadableError(_first_line(error)) from error
    quarters = round(frame.rotation / 90) % 4
    height, width = (frame.height, frame.width) if quarters % 2 == 0 else (frame.width, frame.height)
    return height, width, -90 * quarters % 360


def decord_frames(index: FrameIndex, taken: Sequence[int], resize: Resize) -> Tensor:
    """The frames ``taken`` by decord; refuses files in which decord's frames are not those asked for.

    After a jump into an open group of pictures the decoder drops frames, decord 0.6.0 counts on regardless,
    and returns frames later than those asked for (by 3 to 10 in our files) without an error.
    """
    if not index.exact_jumps:
        raise UnreadableError("not used, its jumps would miss in this file")
    try:
        reader = decord.VideoReader(str(index.path.absolute()), ctx=decord.cpu(0), num_threads=1)  # workers are many
        starts_s = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0] if len(reader) else np.zeros(0)
        # Refuses other streams, absurd times and NaN alike; decord's own float32 costs some 1e-4 s per hour.
        if len(starts_s) != len(index.pts) or not np.allclose(starts_s, index.times_s, rtol=1e-6, atol=1e-3):
            raise UnreadableError("its frame times are not those of the file")
        chunks = []
        for start in range(0, len(taken), _CHUNK):
            frames = reader.get_batch(list(taken[start : start + _CHUNK])).asnumpy()
            chunks.append(resize(torch.from_numpy(frames)))
    except (decord.DECORDError, RuntimeError) as error:
        raise UnreadableError(_first_line(error)) from error
    return _joined(chunks)


def av_frames(index: FrameIndex, taken: Sequence[int], resize: Resize) -> Tensor:
    """The frames ``taken`` by PyAV, each decoded from the last key frame at which decoding may begin."""
    keys = list(taken) if index.by_order else [index.pts[frame] for frame in taken]
    reason = ""
    # A jump may fail, or land too late or between key frames: then once more from the start.
    ways: list[list[_Stretch]] = [[(None, keys)]] if index.by_order else [_stretches(index, keys), [(None, keys)]]
    for stretches in ways:
        try:
            found = _find(index, stretches, resize)
        except (av.FFmpegError, OSError) as error:
            reason = _first_line(error)
            continue
        if len(found) == len(keys):
            return _joined([found[key] for key in keys])
        reason = f"{len(keys) - len(found)} of {len(keys)} frames could not be decoded"
    raise UnreadableError(reason)


def _joined(parts: list[Tensor]) -> Tensor:
    if len({part.shape[1:] for part in parts}) > 1:
        raise UnreadableError("its picture changes size midway")
    return torch.cat(parts)


def _stretches(index: FrameIndex, keys: list[int]) -> list[_Stretch]:
    """Jumps, each with the frames to find from it: one a group of pictures, where the groups stand alone."""
    if not index.exact_jumps:
        return [(keys[0], keys)]
    groups: dict[int, list[int]] = {}
    for key in keys:
        groups.setdefault(bisect_right(index.entries, key) - 1, []).append(key)
    return [(index.entries[group], wanted) for group, wanted in groups.items()]


def _find(index: FrameIndex, stretches: list[_Stretch], resize: Resize) -> dict[int, Tensor]:
    """The wanted frames by their key, (1,H,W,3) each.

    Fewer if a jump did not end at a key frame before them: begun elsewhere, a decoder may return damaged frames.
    """
    found: dict[int, Tensor] = {}
    reformatter = VideoReformatter()  # one for all: each builds its tables anew
    with _open(index.path) as container:
        stream = _video_stream(container)
        stream.codec_context.thread_count = 1  # workers are many
        for jump_to, wanted in stretches:
            if jump_to is not None:
                container.seek(jump_to, stream=stream, backward=True)
            is_first = True
            for key, frame in _decode(index, container, stream, set(wanted)):
                if is_first and jump_to is not None and not (frame.key_frame and key <= jump_to):
                    return found
                is_first = False
                if key in wanted:
                    found[key] = resize(_upright(frame, reformatter)[None])
                if key >= wanted[-1]:
                    break
    return found


def _decode(index: FrameIndex, container: Any, stream: Any, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """Frames with their keys, in the order of showing; those nobody wants or needs may be missing.

    H.264 marks the frames that no other frame refers to: left out, they change none of the rest. Not in
    transport streams, where a packet may hold one field of a frame only.
    """
    may_skip = index.exact_jumps and index.codec == "h264"
    order = 0
    for packet in container.demux(stream):
        if may_skip:
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        for frame in packet.decode():
            if index.by_order:
                yield order, frame
            elif frame.pts is not None:
                yield frame.pts, frame
            order += 1


def _open(path: Path) -> Any:
    # absolute: "a-0:1.mp4" would be of the protocol "a-0"; replace: old files carry titles that are not UTF-8
    return av.open(str(path.absolute()), metadata_errors="replace")


def _video_stream(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise UnreadableError("it has no video stream")
    if stream.codec_context is None:
        raise UnreadableError("there is no decoder for its video stream")
    return stream


def _packets(container: Any, stream: Any) -> Iterator[_Packet]:
    """The needed fields of each packet, without its bytes: a film's would not fit in memory."""
    is_h264 = stream.codec_context.name == "h264"
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise UnreadableError("the file is cut short")
        if packet.size and not packet.is_discard:
            is_key = packet.is_keyframe
            is_entry = is_key and (not is_h264 or _holds_idr(bytes(packet)))
            yield _Packet(packet.pts, packet.dts, packet.duration or 0, is_key, is_entry)


def _refuse_cut(path: Path, packets: list[_Packet], container: Any, stream: Any) -> None:
    """Refuse a file cut between two packets, or in its sound, which shows only in what its header promises.

    Matroska promises no length of its pictures, only when the last of all streams ends: the sound may go on for longer.
    """
    shown = [(packet.pts, packet.pts + packet.duration) for packet in packets if packet.pts is not None]
    if not shown:
        return
    end = max(end for _, end in shown)
    if stream.duration:
        is_cut = end - min(start for start, _ in shown) < _WHOLE * stream.duration
    else:
        promised_s = (container.duration or 0) / av.time_base
        is_cut = end * stream.time_base < _WHOLE * promised_s and _end_s(path) < _WHOLE * promised_s
    if is_cut:
        raise UnreadableError("the file is cut short")


def _end_s(path: Path) -> float:
    """The time in seconds at which the last packet of all streams ends."""
    with _open(path) as container:
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None and p.size]
    return float(max(ends, default=0.0))


def _are_closed(packets: Iterable[_Packet]) -> bool:
    """True where every group of pictures stands alone: opened by an entry, nothing after it shown before it."""
    opened_at: int | None = None
    for packet in packets:
        if packet.is_key:
            if not packet.is_entry:
                return False
            opened_at = packet.pts
        elif opened_at is None or packet.pts is None or packet.pts < opened_at:
            return False
    return True


def _holds_idr(packet: bytes) -> bool:
    """True where one of H.264's length-prefixed units is of type 5, a picture that makes the decoder start afresh.

    A key frame without one is a mere recovery point, as intra refresh and open groups have.

    >>> _holds_idr(bytes([0, 0, 0, 1, 6, 0, 0, 0, 2, 101, 7])), _holds_idr(bytes([0, 0, 0, 2, 65, 5]))
    (True, False)
    """
    at = 0
    while at + 4 < len(packet):
        if packet[at + 4] & 31 == 5:
            return True
        at += 4 + int.from_bytes(packet[at : at + 4], "big")
    return False


def _ascending(times: Iterable[int | None]) -> list[int]:
    return sorted(time for time in times if time is not None)


def _are_distinct(pts: Sequence[int | None]) -> bool:
    return None not in pts and len(set(pts)) == len(pts)


def _upright(frame: Any, reformatter: VideoReformatter) -> Tensor:
    """uint8 (H,W,3) as it is to be shown; the stored rotation is degrees counter-clockwise, as rot90's."""
    stored = reformatter.reformat(frame, format="rgb24").to_ndarray()
    return torch.from_numpy(np.ascontiguousarray(np.rot90(stored, k=round(frame.rotation / 90))))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("/src/")[-1]
