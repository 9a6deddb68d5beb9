"""Invert4TVG's video description (VD): describe the segment, and have the query's action in it."""

from collections.abc import Sequence

from tvg_lightning.tasks.verbs import verb_lemmas


def video_description_reward(content: str | None, query_verbs: Sequence[str]) -> float:
    """Reward for having the query's first verb in the description, by dictionary form.

    ``1[lemma(v_gt) in verbs(description)]``, v_gt the query's first verb (the one that verb completion takes
    out); Invert4TVG (arXiv 2508.07388). 1: it is. 0: it is not, or there is no description. ``query_verbs``:
    lemmas, as of ``tasks.verbs.verb_lemmas(query)``; ``content``: what ``parsing.read_inverted`` gives.

    >>> video_description_reward("A red disc rises while a square spins.", ("rise",))
    1.0
    """
    if content is None or not query_verbs:
        return 0.0
    return 1.0 if query_verbs[0] in verb_lemmas(content) else 0.0
