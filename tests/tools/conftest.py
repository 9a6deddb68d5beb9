"""Videos to write, and decoders that hang or crash, as in tests/data."""

from tests.data.conftest import doubles, write_video

__all__ = ["doubles", "write_video"]
