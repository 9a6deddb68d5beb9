"""A machine on which only torch, transformers, lightning, peft and torchmetrics are installed, with what they require.

``python -m tests.benchmarks.bare SECTION…`` imports all of ``benchmarks.gpu`` as if on it, takes the sections in small,
and prints their results, and the packages that are not there, as JSON.
"""

import json
import sys
from collections.abc import Iterable
from importlib import import_module, metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEEDED = ("torch", "transformers", "lightning", "peft", "torchmetrics")


def with_requirements(names: Iterable[str]) -> set[str]:
    """These distributions, and all those that they require as far as they are installed."""
    found: set[str] = set()
    waiting = [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        found.add(canonicalize_name(name))
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for one in map(Requirement, required):
            if (one.marker is None or one.marker.evaluate({"extra": extra})) and canonicalize_name(
                one.name
            ) not in found:
                waiting += [(one.name, asked) for asked in ("", *one.extras)]
    return found


class Bare:
    """Finds modules and records of packages as usual, but for those of other distributions."""

    def __init__(self, allowed: set[str]) -> None:
        self.allowed = allowed
        self.hidden = {
            module
            for module, owners in metadata.packages_distributions().items()
            if not any(canonicalize_name(owner) in allowed for owner in owners)
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in self.hidden else PathFinder.find_spec(name, path, target)

    def find_distributions(self, context: Any) -> list[metadata.Distribution]:
        found = metadata.MetadataPathFinder.find_distributions(context)
        return [one for one in found if canonicalize_name(one.metadata["Name"]) in self.allowed]

    def invalidate_caches(self) -> None:
        PathFinder.invalidate_caches()


def main() -> None:
    bare = Bare(with_requirements(NEEDED))
    sys.meta_path[:] = [bare if finder is PathFinder else finder for finder in sys.meta_path]
    assert bare in sys.meta_path, "modules are found in another way here"
    from benchmarks.gpu import absent
    from benchmarks.gpu.__main__ import run_section

    for file in sorted(Path(absent.__file__).parent.glob("*.py")):
        import_module(f"benchmarks.gpu.{file.stem}")
    results = {section: run_section(section, small=True) for section in sys.argv[1:]}
    print(json.dumps({"results": results, "stand_ins": absent.ABSENT, "hidden": sorted(bare.hidden)}))


if __name__ == "__main__":
    main()
