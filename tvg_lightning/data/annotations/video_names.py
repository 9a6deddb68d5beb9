"""A check of video names before they become paths: others wrote them, and they are joined to the user's folder.

A name is judged by its letters, for the file need not be on this machine. Links inside the folder are followed:
who put them there is its owner, not the annotations, and folders of links into a large store are common.
"""

from pathlib import PurePath


def must_be_inside(name: str) -> None:
    """ValueError for a name that could lead out of the folder it is joined to: absolute, or with a part "..".

    ``a/../b.mp4`` is refused as well: where ``a`` is a link, ".." is the folder above its target, not above the link.

    >>> must_be_inside("part 1/..a.mp4")
    >>> must_be_inside("../../etc/passwd.mp4")
    Traceback (most recent call last):
    ValueError: the video '../../etc/passwd.mp4' has ".." in it, which leads out of the folder of videos
    """
    path = PurePath(name)
    if path.anchor:  # more than is_absolute: on Windows "C:a.mp4" is not absolute, but leaves a folder on D: behind
        raise ValueError(f"the video {name!r} is an absolute path, which leads out of the folder of videos")
    if ".." in path.parts:
        raise ValueError(f'the video {name!r} has ".." in it, which leads out of the folder of videos')
