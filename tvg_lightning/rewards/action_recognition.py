"""Invert4TVG's action recognition (AR): name the action of the segment with one verb."""

from collections.abc import Sequence

from tvg_lightning.tasks.verbs import lemma


def action_recognition_reward(content: str | None, query_verbs: Sequence[str]) -> float:
    """Reward for giving one verb that is among the query's, by dictionary form.

    ``1[lemma(v_pred) in verbs(query)]``; Invert4TVG (arXiv 2508.07388). 1: it is. 0: it is not, or the
    content is not one word: a list of verbs would hit by its length alone. ``query_verbs``: lemmas, as of
    ``tasks.verbs.verb_lemmas(query)``; ``content``: what ``parsing.read_inverted`` gives.

    >>> action_recognition_reward("Rising.", ("rise",)), action_recognition_reward("rise fall", ("rise",))
    (1.0, 0.0)
    """
    words = (content or "").split()
    if len(words) != 1:
        return 0.0
    return 1.0 if lemma(words[0].strip(".,;:!?\"'`*")) in query_verbs else 0.0
