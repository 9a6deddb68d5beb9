"""Stand-ins for packages that read videos, score sets or find verbs, on machines without them: nothing here uses them.

Import this before anything of the package.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from unittest.mock import MagicMock

# they look for some of these packages themselves, and must not find a stand-in
import lightning
import peft
import torchmetrics
import transformers

_REAL = (lightning, peft, torchmetrics, transformers)
_PACKAGES = {
    "av": ("av.stream", "av.video", "av.video.reformatter", "av.sidedata", "av.sidedata.sidedata"),
    "decord": (),
    "scipy": ("scipy.optimize",),
    "PIL": (),
    "lemminflect": (),
    "HanTa": ("HanTa.HanoverTagger",),
}


def stand_in() -> list[str]:
    """Put a stand-in in the place of each package that is not installed; returns their names."""
    absent = [package for package in _PACKAGES if find_spec(package) is None]
    for package in absent:
        for name in (package, *_PACKAGES[package]):
            sys.modules[name] = MagicMock(__spec__=ModuleSpec(name, None), __path__=[])
    return absent


ABSENT = stand_in()
