"""Keys that were given up: a config that still has them is told what to write."""

import re
from collections.abc import Iterable

_TOKEN_PIXELS = 28 * 28  # when budgets were counted in pixels, all policies had tokens of this size
_PIXELS = re.compile(r"(frames\.|^)(min|max|total)_pixels$")
_PIXEL_OPTION = re.compile(r"--(\S*(?:min|max|total)_pixels)[= ](\S+)")


def refuse_pixels(given: Iterable[tuple[str, object]]) -> None:
    """ValueError where a key with its value is a budget in pixels; all are named, with their numbers in tokens.

    >>> refuse_pixels([("fit.data.frames.max_pixels", 602112), ("fit.data.frames.total_pixels", None)])
    Traceback (most recent call last):
        ...
    ValueError: frames.max_pixels and frames.total_pixels are gone, budgets are counted in tokens: write \
frames.max_tokens 768, frames.total_tokens null (28 x 28 = 784 pixels a token)
    """
    found = [(found[0], value) for key, value in given if (found := _PIXELS.search(key))]
    if not found:
        return
    are_gone = " and ".join(key for key, _ in found) + (" is gone" if len(found) == 1 else " are gone")
    instead = ", ".join(f"{key.replace('pixels', 'tokens')} {_in_tokens(value)}" for key, value in found)
    raise ValueError(
        f"{are_gone}, budgets are counted in tokens: write {instead} (28 x 28 = {_TOKEN_PIXELS} pixels a token)"
    )


def refuse_pixel_options(complaint: str) -> None:
    """The same for options of a command line, out of a parser's complaint that it does not know them.

    >>> refuse_pixel_options("unrecognized arguments: --max_pixels 784 --speed 3")
    Traceback (most recent call last):
        ...
    ValueError: max_pixels is gone, budgets are counted in tokens: write max_tokens 1 (28 x 28 = 784 pixels a token)
    """
    refuse_pixels(_PIXEL_OPTION.findall(complaint))


def _in_tokens(pixels: object) -> str:
    """
    >>> _in_tokens("100352"), _in_tokens(100), _in_tokens(None), _in_tokens("many")
    ('128', '1', 'null', '(many / 784)')
    """
    if pixels is None or pixels == "null":
        return "null"
    return str(max(1, round(int(str(pixels)) / _TOKEN_PIXELS))) if str(pixels).isdecimal() else f"({pixels} / 784)"
