"""A digest of a file's bytes: the caches find a video by its content, whatever its name or date."""

import hashlib
import stat
from pathlib import Path
from typing import NamedTuple


class FileDigest(NamedTuple):
    """The digest, and the state of the file in which it was taken: device, inode, size, times of writing and change."""

    state: tuple[int, ...]
    digest: str


def digest_of(path: Path, known: FileDigest | None = None) -> FileDigest | None:
    """The digest of a file; its bytes are read only where it is no longer as it was when ``known`` was taken.

    None for what is no file or cannot be read: whoever opens it as a video says why.
    """
    try:
        about = path.stat()
        # the time of change (ctime) moves with every write and cannot be set back
        state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if known is not None and known.state == state:
            return known
        if not stat.S_ISREG(about.st_mode):
            return None
        with path.open("rb") as file:
            return FileDigest(state, hashlib.file_digest(file, "blake2b").hexdigest())
    except (OSError, ValueError):  # ValueError: a name with a NUL in it
        return None
