"""The annotation as one more row of a group (OraRL, arXiv 2608.20492): its text, tokens and reward."""

from dataclasses import dataclass

from tvg_lightning.answers import answer_text
from tvg_lightning.data.items import Item
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.rewards.total import RewardParts, Rewards


@dataclass(frozen=True, slots=True)
class OracleRow:
    """The tokens of the annotation written as an answer, and what they earn."""

    token_ids: tuple[int, ...]  # the end token included
    score: RewardParts


def oracle_row(policy: PolicyBackbone, rewards: Rewards, item: Item, max_tokens: int) -> OracleRow:
    """The row of an item's sample, scored as any completion is.

    Of a text that is longer than completions may be, the last ``max_tokens`` tokens are learned, as in the release;
    its reward is that of the whole text. The bonus of ``reward.frame_dependence`` is not in it, for that compares the
    completions of a group with one another.
    """
    sample = item.sample
    assert sample.windows is not None, "samples without truth are refused before training"
    text = answer_text(sample.windows, rewards.form)
    ids = tuple(policy.text_to_ids(text)[-max_tokens:])
    return OracleRow(ids, rewards.score(text, item.task, sample, item.query_verbs, len(ids)))
