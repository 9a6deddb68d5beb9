"""Random and mutated answers through the parser, in every format: no exception, and how long one takes at most.

    python -m benchmarks.parsing --num 200000

Half of the texts are answers of a format that were cut, repeated, swapped and mixed with pieces of others, the other
half pieces and characters in any order. Each is read strictly and tolerantly in every format, and by every published
parser. Prints the counts and the longest time of one text in one way; exits with 1 where a text raises.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from functools import partial

from tvg_lightning.parsing import read_strict, read_tolerant
from tvg_lightning.presets import PRESETS, Scorer
from tvg_lightning.progress import tracked
from tvg_lightning.schema import AnswerFormat, Method

FORMS = [AnswerFormat(method, thought) for method in Method for thought in (None, True, False)]
WAYS: dict[str, Callable[[str], object]] = {
    **{f"{form} strict": partial(read_strict, form=form) for form in FORMS},
    **{f"{form} tolerant": partial(read_tolerant, form=form) for form in FORMS},
    **{f"published {name}": Scorer.of(name, as_published=True).read for name in PRESETS},
}
GOOD = (
    "<think>It moves: <timestamp>12.0 to 15.5</timestamp>, or rather <timestamp>12.5 to 15.0</timestamp>.</think>"
    "<answer>12.5 to 15.0</answer>",
    "<think>It moves.</think><answer>12.0 to 15.5</answer><|im_end|>",
    "<think>It moves.</think><time>[12.0, 15.5]</time>",
    "<answer>12.0 to 15.5</answer>",
    "<think>red square spins: 2.0 to 5.5, 9.0 to 12.0.</think>[[2.0, 5.5], [9.0, 12.0]]",
    "[[12.0, 15.5], [20.0, 24.5]]",
    "[]",
    "The event happens in 12.0 - 15.5 seconds.",
    "The event happens in 12.0 - 15.5 seconds, 20.0 - 24.5 seconds.",
    "<answer>12 to 15</answer>",
    "<think>From 0.0s to 12.0s, nothing. From 12.0s to 15.5s, it moves.</think>\n<answer>12.0s to 15.5s</answer>",
    "<think>It moves at 12.00 and at 20.00.</think><answer>12.00-15.50 20.00-24.50</answer>",
    "<think><time>12.0 - 15.5 seconds</time> it moves</think><time>12.0 - 15.5 seconds</time> <time>20 - 24 s</time>",
    "From 1 minute 5 seconds until 01:20.",
    "von 12,5 bis 18,3 Sekunden",
    "从12秒到18秒",
)
PIECES = (
    "<think>", "</think>", "<ANSWER>", "</ANSWER>", "s to ", "The event happens in ", "<answer>",
    "</answer>", "<time>", "</time>", "<timestamp>", "</timestamp>", "<|im_end|>",
    "[", "]", "[[", "]]", "{", "}", ",", ", ", " to ", " and ", " - ", "–", ":", "~", "±", "\n", "\t", "|", "\\boxed{",
    "\\text{", "start", "end", "seconds", "min", "12.0", "15.5", "1:05", "01:02:03.5", "-3", "1e9", "NaN", "Infinity",
    "frame 3", "50 %", "秒", "到", "１２", "bis", "à", "\x00", "\ud83d", "😀", "\u202e", "12,5",
)  # fmt: skip


def mutated(dice: random.Random) -> str:
    """An answer after one to six cuts, repetitions, insertions and swaps."""
    text = dice.choice(GOOD)
    for _ in range(dice.randint(1, 6)):
        a, b = sorted((dice.randint(0, len(text)), dice.randint(0, len(text))))
        ways: tuple[Callable[[], str], ...] = (
            lambda a=a, b=b, t=text: t[:a] + t[b:],
            lambda a=a, b=b, t=text: t[:b] + t[a:b] * dice.randint(1, 4) + t[b:],
            lambda a=a, t=text: t[:a] + dice.choice(PIECES) + t[a:],
            lambda a=a, t=text: t[:a] + dice.choice(GOOD) + t[a:],
            lambda a=a, b=b, t=text: t[:a] + t[a:b][::-1] + t[b:],
        )
        text = dice.choice(ways)()
    return text[:4000]


def random_text(dice: random.Random) -> str:
    """Pieces and characters in any order."""
    parts = [
        dice.choice(PIECES) if dice.random() < 0.8 else chr(dice.randint(1, 0x2FFF))
        for _ in range(dice.randint(0, 120))
    ]
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice, longest_s, slowest, raised = random.Random(given.seed), 0.0, "", 0
    for number in tracked(range(given.num), "making texts", "text", given.num):
        text = mutated(dice) if number % 2 else random_text(dice)
        for name, read in WAYS.items():
            started = time.perf_counter()
            try:
                read(text)
            except Exception as error:  # the point of it
                raised += 1
                sys.stderr.write(f"{name}: {error!r} for {text!r}\n")
            taken_s = time.perf_counter() - started
            if taken_s > longest_s:
                longest_s, slowest = taken_s, text
    sys.stdout.write(
        f"{given.num} texts in {len(WAYS)} ways, seed {given.seed}: {raised} raised, the longest took "
        f"{1000 * longest_s:.1f} ms ({len(slowest)} characters: {slowest[:80]!r})\n"
    )
    sys.exit(raised > 0)


if __name__ == "__main__":
    main()
