"""TaRO's warm start (arXiv 2606.09248): completions that begin with what happens in the video, as its captions say."""

from dataclasses import dataclass
from inspect import signature
from random import Random

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import RolloutEngine
from tvg_lightning.schema import Sample


@dataclass(frozen=True)
class WarmStartSettings:
    """TaRO's warm start: completions about samples with captions begin with some of these.

    Args:
        epochs: completions begin so in the first so many epochs. A stage of a staged run is one epoch, so all of its
            completions do.
    """

    epochs: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"grpo.warm_start.epochs must be at least 1, not {self.epochs}; null is for no warm start")


def prefix_text(sample: Sample, chooser: Random) -> str:
    """The beginning of a thought: what is to be found, then a random part of the captions in their order.

    Their number is uniform from 1 to all, and each choice of so many is as likely (the release's rule; the words are
    ours).

    >>> print(prefix_text(Sample("a", "a.mp4", 9.0, "it rises", None, captions=("0 to 2: it spins",)), Random(0)))
    <think>
    To be found: it rises
    0 to 2: it spins
    <BLANKLINE>
    """
    numbers = chooser.sample(range(len(sample.captions)), chooser.randint(1, len(sample.captions)))
    chosen = [sample.captions[number] for number in sorted(numbers)]
    return "\n".join(["<think>", f"To be found: {sample.query}", *chosen, ""])


def prefix_ids(policy: PolicyBackbone, sample: Sample, chooser: Random, max_tokens: int) -> tuple[int, ...]:
    """The tokens of ``prefix_text``; empty for a sample without captions.

    Of a text that would take more than half of ``max_tokens`` the rest is left out (ours), so that there is room for
    an answer.
    """
    if not sample.captions:
        return ()
    *ids, _ = policy.text_to_ids(prefix_text(sample, chooser))  # the turn does not end here
    return tuple(ids[: max_tokens // 2])


def check_engine(engine: RolloutEngine, key: str) -> None:
    """ValueError for an engine that cannot go on from the beginning of a completion, which the key asks of it."""
    if "prefixes" not in signature(engine).parameters:
        raise ValueError(
            f"{key}: the engine cannot go on from a given beginning: give it a parameter prefixes, as "
            "policy.generation.generate has it, or leave that key out"
        )
