"""Agreement of each tagger with the published verbs: plain HanTa, HanTa repaired, spaCy where it is installed.

    python -m benchmarks.verbs LABELS.json

LABELS is a file in the form of Invert4TVG's val_vs.json: videos by name, each with ``sentences`` and ``verb`` (the
first verb as written, "" where there is none).
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tvg_lightning.tasks import hanta_verbs, spacy_verbs
from tvg_lightning.tasks.verbs import Tagger, verbs

Pair = tuple[str, str]


def read_labels(path: Path) -> list[Pair]:
    """Every sentence with its published verb, as often as it occurs."""
    videos = json.loads(path.read_text(encoding="utf-8")).values()
    return [pair for video in videos for pair in zip(video["sentences"], video["verb"], strict=True)]


def first_verb(sentence: str, tagger: Tagger) -> str:
    return next((verb.text for verb in verbs(sentence, tagger)), "")


def plain_verb(sentence: str) -> str:
    """The first word that HanTa itself tags as a verb."""
    return next((sentence[start:end] for start, end in hanta_verbs.main_verbs(sentence, repair=False)), "")


def agreement(pairs: Sequence[Pair], find: Callable[[str], str]) -> float:
    """Share of the pairs whose verb is found, letter case aside.

    >>> agreement([("it fell", "fell"), ("a box", "")], lambda sentence: "Fell")
    0.5
    """
    return sum(find(sentence).lower() == verb.lower() for sentence, verb in pairs) / len(pairs)


def table(pairs: Sequence[Pair], taggers: dict[str, Callable[[str], str]]) -> str:
    """One Markdown row a tagger: its agreement over all sentences and over the distinct ones."""
    rows = [f"| tagger | all {len(pairs)} | distinct {len(set(pairs))} |", "|---|---|---|"]
    for name, find in taggers.items():
        rows.append(f"| {name} | {agreement(pairs, find):.4f} | {agreement(sorted(set(pairs)), find):.4f} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    taggers: dict[str, Callable[[str], str]] = {
        "HanTa, no repair": plain_verb,
        "HanTa": partial(first_verb, tagger="hanta"),
    }
    if spacy_verbs.installed_model() is not None:
        taggers["spaCy"] = partial(first_verb, tagger="spacy")
    sys.stdout.write(table(read_labels(parser.parse_args().labels), taggers) + "\n")


if __name__ == "__main__":
    main()
