"""Two decoders behind one index of a file's frames: decord where it is exact, PyAV for every file.

PyAV lists the frames from the packets, without decoding, so both decoders agree on which frames there are
and when. Both turn the frames as the file asks; their frames are the same to the last bit. decord decodes every
frame up to the one asked for; PyAV can leave out those that no other needs, and so costs less the farther apart
the frames lie (docs/video.md has the numbers).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import decord
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from tvg_lightning.data.containers import (
    Packet,
    UnreadableError,
    decodable,
    first_line,
    is_utf8,
    late_s,
    names_of,
    open_file,
    read_packets,
    refuse_cut,
    still_until,
    video_stream,
)
from tvg_lightning.data.pictures import decord_differs, orientation_of, pixel_shape, upright

_CHUNK = 8  # frames held at full size at once: 8 frames of 1080p are 50 MB, 128 would be 800 MB
_ABSURD_S = 1e7  # about four months
_JUMPABLE = {"mov", "mp4", "matroska", "webm"}  # containers in which decord's jumps were seen to land

Resize = Callable[[Tensor], Tensor]  # uint8 (T,H,W,3) to the final size


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The frames of a file in the order of showing."""

    path: Path
    pts: list[int]
    times_s: list[float]  # the same in seconds from the start of the file, ascending
    end_s: float | None  # when the last frame leaves the screen, where the file says that
    by_order: bool  # frames are told apart by their order, because the stored pts cannot be trusted
    exact_jumps: bool  # decoding may begin at every key frame
    is_damaged: bool  # a broadcast that lost packets on its way: what cannot be decoded is left out
    entries: list[int]  # pts of the key frames
    codec: str
    pixel_shape: Fraction  # the width of a stored pixel by its height


_Jump = tuple[int | None, list[int]]  # jump to this pts (None: begin at the start), and find these frames


def index_frames(path: Path) -> FrameIndex:
    """List the frames by their packets; where packets do not tell them, by decoding all of them."""
    try:
        if path.is_file() and not path.stat().st_size:
            raise UnreadableError("the file is empty")
        with open_file(path) as container:
            stream = video_stream(container)
            every = read_packets(container, stream)
            shown, packets = [packet for packet in every if packet.is_shown], decodable(every)
            refuse_cut(path, shown, container, stream)
            names, base = names_of(container), stream.time_base
            if not packets:
                raise UnreadableError("it has no frames")
            by_order = "avi" in names or not _are_distinct([packet.pts for packet in packets])
            is_damaged = any(packet.is_damaged for packet in packets)
            pts = _times_of(path, packets, by_order, is_damaged)
            late = late_s(container, stream, every, pts[0])
            end = None if by_order else still_until(path, shown, container, stream)
            codec = stream.codec_context.codec.canonical_name  # "av1", whoever decodes it
            pixel = pixel_shape(stream)
    except (av.FFmpegError, OSError) as error:
        raise UnreadableError(first_line(error)) from error
    times_s = _seconds(pts, base, late)
    if times_s[-1] > _ABSURD_S:
        raise UnreadableError(f"absurd frame times, up to {times_s[-1]:.3g} s")
    end_s = None if end is None else float(late + end - pts[0] * base)
    exact_jumps = not by_order and bool(names & _JUMPABLE) and _are_closed(packets)
    entries = _ascending(packet.pts for packet in packets if packet.is_key)
    return FrameIndex(path, pts, times_s, end_s, by_order, exact_jumps, is_damaged, entries, codec, pixel)


def _seconds(pts: Sequence[int], base: Fraction, late: Fraction) -> list[float]:
    """late + (time - first) * base of each time: in whole numbers, as exact as with fractions and far faster."""
    shift = late - pts[0] * base
    scale, shift_by = base.numerator * shift.denominator, shift.numerator * base.denominator
    whole = base.denominator * shift.denominator
    return [(time * scale + shift_by) / whole for time in pts]


def _times_of(path: Path, packets: list[Packet], by_order: bool, is_damaged: bool) -> list[int]:
    """The distinct times of the frames in the order of showing."""
    times = [packet.pts for packet in packets]
    if by_order:
        times = _times_by_order(path, packets, is_damaged)
    elif is_damaged:  # a packet that lost its beginning is no frame
        with open_file(path) as container:
            stream = video_stream(container)
            packets_of = _from_key(container, stream, packets[0].is_key)
            times = [frame.pts for packet in packets_of for frame in _frames_of(packet, is_damaged)]
    if not times or not _are_distinct(times):
        raise UnreadableError("it has no frames with times of their own")
    return _ascending(times)


def _times_by_order(path: Path, packets: list[Packet], is_damaged: bool) -> list[int | None]:
    """The times of the frames that come out of the decoder, for files that do not store when they are shown.

    An .avi stores decode times only: the times that a decoder makes of them come out shuffled or doubled. But
    its frames come out in the order of showing, one for one, so the k-th is shown at the k-th of those times.
    """
    with open_file(path) as container:
        from_key = _from_key(container, video_stream(container), packets[0].is_key)
        decoded = [frame.pts for packet in from_key for frame in _frames_of(packet, is_damaged)]
    dts = _ascending(packet.dts for packet in packets)
    if _are_distinct(dts) and len(dts) >= len(decoded):
        return [*dts[: len(decoded)]]
    return decoded


def shown_as(index: FrameIndex) -> tuple[int, int, int]:
    """Height and width as they are to be shown, and the clockwise turn in degrees that this takes."""
    frame = _first_frame(index)
    height, width = frame.height, max(1, round(frame.width * index.pixel_shape))
    orientation = orientation_of(frame)
    height, width = (width, height) if orientation.is_transposed else (height, width)
    return height, width, orientation.degrees


def pixel_stretch(index: FrameIndex) -> tuple[Fraction | int, Fraction | int]:
    """Factors of height and width by which the upright frames are to be stretched, for their pixels to be square."""
    if index.pixel_shape == 1:
        return 1, 1
    is_transposed = orientation_of(_first_frame(index)).is_transposed
    return (index.pixel_shape, 1) if is_transposed else (1, index.pixel_shape)


def _first_frame(index: FrameIndex) -> Any:
    try:
        with open_file(index.path) as container:
            stream = video_stream(container)
            for packet in _from_key(container, stream, bool(index.entries)):
                for frame in _frames_of(packet, index.is_damaged):
                    return frame
    except (av.FFmpegError, OSError) as error:
        raise UnreadableError(first_line(error)) from error
    raise UnreadableError("none of its frames can be decoded")


def decord_frames(index: FrameIndex, taken: Sequence[int], resize: Resize) -> Tensor:
    """The frames ``taken`` by decord; refuses files in which decord's frames are not those asked for.

    After a jump into an open group of pictures the decoder drops frames, decord 0.6.0 counts on regardless,
    and returns frames later than those asked for (by 3 to 10 in our files) without an error.
    """
    if not index.exact_jumps:
        raise UnreadableError("not used, its jumps would miss in this file")
    if (reason := decord_differs(_first_frame(index))) is not None or not is_utf8(str(index.path.absolute())):
        raise UnreadableError(f"not used, its frames would be others ({reason})" if reason else "the name is not UTF-8")
    try:
        reader = decord.VideoReader(str(index.path.absolute()), ctx=decord.cpu(0), num_threads=1)  # workers are many
        starts_s = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0] if len(reader) else np.zeros(0)
        shown_s = np.array(index.times_s) - index.times_s[0]
        # Refuses other streams, absurd times and NaN alike; decord's own float32 costs some 1e-4 s per hour.
        if len(starts_s) != len(index.pts) or not np.allclose(starts_s, shown_s, rtol=1e-6, atol=1e-3):
            raise UnreadableError("its frame times are not those of the file")
        chunks = []
        for start in range(0, len(taken), _CHUNK):
            frames = reader.get_batch(list(taken[start : start + _CHUNK])).asnumpy()
            chunks.append(resize(torch.from_numpy(frames)))
    except (decord.DECORDError, RuntimeError) as error:
        raise UnreadableError(first_line(error)) from error
    return _joined(chunks)


def av_frames(index: FrameIndex, taken: Sequence[int], resize: Resize) -> Tensor:
    """The frames ``taken`` by PyAV, each decoded from the last key frame at which decoding may begin."""
    keys = list(taken) if index.by_order else [index.pts[frame] for frame in taken]
    reason = ""
    # A jump may fail, or land too late or between key frames: then once more from the start.
    ways: list[list[_Jump]] = [[(None, keys)]] if index.by_order else [_jumps(index, keys), [(None, keys)]]
    for jumps in ways:
        try:
            found = _find(index, jumps, resize)
        except (av.FFmpegError, OSError) as error:
            reason = first_line(error)
            continue
        if len(found) == len(keys):
            return _joined([found[key] for key in keys])
        reason = f"{len(keys) - len(found)} of {len(keys)} frames could not be decoded"
    raise UnreadableError(reason)


def _joined(parts: list[Tensor]) -> Tensor:
    if len({part.shape[1:] for part in parts}) > 1:
        raise UnreadableError("its picture changes size midway")
    return torch.cat(parts)


def _jumps(index: FrameIndex, keys: list[int]) -> list[_Jump]:
    """Jumps, each with the frames to find from it: one a group of pictures, where the groups stand alone."""
    if not index.exact_jumps:
        return [(keys[0], keys)]
    groups: dict[int, list[int]] = {}
    for key in keys:
        groups.setdefault(bisect_right(index.entries, key) - 1, []).append(key)
    return [(index.entries[group], wanted) for group, wanted in groups.items()]


def _find(index: FrameIndex, jumps: list[_Jump], resize: Resize) -> dict[int, Tensor]:
    """The wanted frames by their key, (1,H,W,3) each.

    Fewer if a jump did not end at a key frame before them: begun elsewhere, a decoder may return damaged frames.
    """
    found: dict[int, Tensor] = {}
    reformatter = VideoReformatter()  # one for all: each builds its tables anew
    with open_file(index.path) as container:
        stream = video_stream(container)
        stream.codec_context.thread_count = 1  # workers are many
        for jump_to, wanted in jumps:
            if jump_to is not None:
                container.seek(jump_to, stream=stream, backward=True)
            is_first = True
            for key, frame in _decode(index, container, stream, set(wanted)):
                if is_first and jump_to is not None and not (frame.key_frame and key <= jump_to):
                    return found
                is_first = False
                if key in wanted:
                    found[key] = resize(upright(frame, reformatter)[None])
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
    for packet in _from_key(container, stream, bool(index.entries)):
        if may_skip:
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
        for frame in _frames_of(packet, index.is_damaged):
            if index.by_order:
                yield order, frame
            elif frame.pts is not None:
                yield frame.pts, frame
            order += 1


def _from_key(container: Any, stream: Any, has_keys: bool) -> Iterator[Any]:
    """The packets from the first key frame on: those before it refer to frames before the file."""
    has_begun = not has_keys
    for packet in container.demux(stream):
        has_begun = has_begun or packet.is_keyframe or not packet.size
        if has_begun:
            yield packet


def _frames_of(packet: Any, is_damaged: bool) -> list[Any]:
    """The frames that a packet brings; of a damaged file none where it cannot be decoded."""
    try:
        return packet.decode()
    except av.InvalidDataError:
        if is_damaged:
            return []
        raise


def _are_closed(packets: Iterable[Packet]) -> bool:
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


def _ascending(times: Iterable[int | None]) -> list[int]:
    return sorted(time for time in times if time is not None)


def _are_distinct(pts: Sequence[int | None]) -> bool:
    return None not in pts and len(set(pts)) == len(pts)
