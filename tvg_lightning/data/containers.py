"""A video file as PyAV opens it: the stream of its pictures, their packets, and whether the file is whole."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.stream import Disposition

_WHOLE = 0.9  # of the promised length must be there: headers round it
_DAMAGED = 0.1  # of the packets of a broadcast may be
_LATE_S = 0.1  # pictures that begin later than that after the sound do so on purpose; encoders delay them by less
_NONSENSE_S = 86_400  # before the pictures, of sound or nothing
_STILL_S = 1.0  # of a last picture beside sound, from which on the sound is asked whether it lasts as long
_BROADCAST = "mpegts"
_TIMELINES = {"mp4", "matroska"}  # their clocks begin at zero; broadcasts begin anywhere
_EBML, _SEGMENT = bytes.fromhex("1A45DFA3"), bytes.fromhex("18538067")


class UnreadableError(Exception):
    """A file on which a decoder gives up; the reader turns it into a message for people."""


class Packet(NamedTuple):
    """The needed fields of a packet, without its bytes: a film's would not fit in memory."""

    pts: int | None
    dts: int | None
    duration: int
    is_key: bool
    is_entry: bool  # a key frame after which nothing earlier is needed
    is_damaged: bool = False
    is_shown: bool = True  # not cut away by an edit list


@contextmanager
def open_file(path: Path) -> Iterator[Any]:
    """The file as a container of PyAV."""
    name = str(path.absolute())  # absolute: "a-0:1.mp4" would be of the protocol "a-0"
    with ExitStack() as stack:
        source = name if is_utf8(name) else stack.enter_context(path.open("rb"))
        # replace: old files carry titles that are not UTF-8
        yield stack.enter_context(av.open(source, metadata_errors="replace"))


def is_utf8(name: str) -> bool:
    """True where a name can be handed to a decoder; old disks have some in Latin-1.

    >>> is_utf8("café.mp4"), is_utf8("caf\\udce9.mp4")
    (True, False)
    """
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def readable(path: Path) -> str:
    """A path in words that can be printed, whatever the bytes of its name."""
    return os.fsencode(path).decode(errors="backslashreplace")


def video_stream(container: Any) -> Any:
    """The stream of moving pictures: no cover, which is a stream of one picture."""
    stream = container.streams.best("video")
    if stream is not None and _is_cover(stream):
        stream = next((one for one in container.streams.video if not _is_cover(one)), None)
    if stream is None:
        raise UnreadableError("it has no video stream")
    if stream.codec_context is None:
        raise UnreadableError("there is no decoder for its video stream")
    return stream


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def names_of(container: Any) -> set[str]:
    """The names of its format, as of "mov,mp4,m4a,3gp,3g2,mj2"."""
    return set(container.format.name.split(","))


def read_packets(container: Any, stream: Any) -> list[Packet]:
    """All packets of the pictures from the first key frame on: what refers to others before it cannot be decoded.

    Damage is what a broadcast loses on its way; in any other file it means that the file ends in a packet.
    """
    is_h264, is_broadcast = stream.codec_context.name == "h264", _BROADCAST in names_of(container)
    packets = []
    for packet in container.demux(stream):
        if packet.is_corrupt and not is_broadcast:
            raise UnreadableError("the file is cut short")
        if packet.size:
            is_key, times = packet.is_keyframe, (packet.pts, packet.dts, packet.duration or 0)
            is_entry = is_key and (not is_h264 or holds_idr(bytes(packet)))
            packets.append(Packet(*times, is_key, is_entry, packet.is_corrupt, not packet.is_discard))
    damaged = sum(packet.is_damaged for packet in packets)
    if damaged > _DAMAGED * len(packets):
        raise UnreadableError(f"{damaged} of its {len(packets)} packets of pictures are damaged")
    return packets


def decodable(packets: Sequence[Packet]) -> list[Packet]:
    """The packets that are shown, from the first key frame on."""
    at = next((number for number, packet in enumerate(packets) if packet.is_key), 0)
    first = packets[at].pts if at else None
    return [
        packet
        for packet in packets[at:]
        if packet.is_shown and (first is None or packet.pts is None or packet.pts >= first)
    ]


def late_s(container: Any, stream: Any, packets: Sequence[Packet], first: int) -> Fraction:
    """Seconds from the start of the file, as players count, to its ``first`` picture; 0 where that is the start."""
    streams = [one for one in container.streams if one.type in ("video", "audio") and one.start_time is not None]
    starts = [one.start_time * one.time_base for one in streams if not _is_cover(one)]
    own = [packet.pts for packet in packets if packet.pts is not None and packet.is_shown]
    start = min([*starts, min([*own, first]) * stream.time_base])
    if len(starts) > 1 and abs(start) < _LATE_S and names_of(container) & _TIMELINES:
        start = Fraction(0)  # the encoder of the sound has its delay, too
    late = first * stream.time_base - start
    return late if _LATE_S < late < _NONSENSE_S else Fraction(0)


def refuse_cut(path: Path, packets: Sequence[Packet], container: Any, stream: Any) -> None:
    """Refuse a file cut between two packets, or in its sound, which shows only in what its header promises.

    Matroska promises no length of its pictures, only when the last of all streams ends: the sound may go on for longer,
    and so may the last picture, which is no cut where the file is as long in bytes as it says.
    """
    shown = [(packet.pts, packet.pts + packet.duration) for packet in packets if packet.pts is not None]
    if not shown:
        return
    end = max(end for _, end in shown)
    if stream.duration:
        is_cut = end - min(start for start, _ in shown) < _WHOLE * stream.duration
    else:
        promised_s = (container.duration or 0) / av.time_base
        is_cut = (
            end * stream.time_base < _WHOLE * promised_s
            and _end_s(path) < _WHOLE * promised_s
            and not ("matroska" in names_of(container) and _has_all_bytes(path))
        )
    if is_cut:
        raise UnreadableError("the file is cut short")


def still_until(path: Path, packets: Sequence[Packet], container: Any, stream: Any) -> Fraction | None:
    """The time at which the last picture leaves the screen, by the clock of the stream; None if the file says nothing.

    An .mp4 has the sum of all durations; one alone may be between two frames that are not shown one after the other.
    Matroska has when the last of all streams ends: that is the picture, where it is not the sound.
    """
    times = [packet.pts for packet in packets if packet.pts is not None]
    names = names_of(container)
    if not times:
        return None
    if "mp4" in names and stream.duration:
        return Fraction((min(times) + stream.duration) * stream.time_base)
    if "matroska" not in names or not container.duration or not _has_all_bytes(path):
        return None
    promised_s = Fraction(container.duration, av.time_base)
    others = [one for one in container.streams if one.type == "audio"]
    if not others:
        return promised_s
    is_still = promised_s - max(times) * stream.time_base > _STILL_S and _end_s(path) < promised_s - Fraction(_STILL_S)
    return promised_s if is_still else None


def _end_s(path: Path) -> float:
    """The time in seconds at which the last packet of all streams ends."""
    with open_file(path) as container:
        ends = [(p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None and p.size]
    return float(max(ends, default=0.0))


def _has_all_bytes(path: Path) -> bool:
    """True where a Matroska file holds as many bytes as its segment says; a live stream does not say it."""
    with path.open("rb") as file:
        while True:
            element, first = file.read(4), file.read(1)
            if element not in (_EBML, _SEGMENT) or not first or not first[0]:
                return False
            num_more = 8 - first[0].bit_length()
            size = int.from_bytes(bytes([first[0] & (127 >> num_more)]) + file.read(num_more), "big")
            if element == _SEGMENT:
                is_known = size != (1 << 7 * (num_more + 1)) - 1
                return is_known and file.tell() + size <= path.stat().st_size
            file.seek(size, 1)


def holds_idr(packet: bytes) -> bool:
    """True where one of H.264's length-prefixed units is of type 5, a picture that makes the decoder start afresh.

    A key frame without one is a mere recovery point, as intra refresh and open groups have.

    >>> holds_idr(bytes([0, 0, 0, 1, 6, 0, 0, 0, 2, 101, 7])), holds_idr(bytes([0, 0, 0, 2, 65, 5]))
    (True, False)
    """
    at = 0
    while at + 4 < len(packet):
        if packet[at + 4] & 31 == 5:
            return True
        at += 4 + int.from_bytes(packet[at : at + 4], "big")
    return False


def first_line(error: BaseException) -> str:
    """The first line of an error, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0].split("/src/")[-1]
