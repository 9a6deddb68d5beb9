"""Invert4TVG's verb completion (VC): put the verb back that was taken out of the query."""

from collections.abc import Sequence

from tvg_lightning.tasks.verbs import verb_lemmas


def verb_completion_reward(content: str | None, query_verbs: Sequence[str]) -> float:
    """Reward for a completed sentence that has all verbs of the query, by dictionary form.

    ``1[verbs(query) is a subset of verbs(sentence)]``, the release's reading of ``lemma(v_pred) =
    lemma(v_gt)``; Invert4TVG (arXiv 2508.07388), which finds the binary reward better than a cosine. 1: all
    there. 0: one is missing, or there is no sentence. As in the release, extra verbs cost nothing.
    ``query_verbs``: lemmas, as of ``tasks.verbs.verb_lemmas(query)``; ``content``: what
    ``parsing.read_inverted`` gives.

    >>> verb_completion_reward("The red circle is rising.", ("rise",))
    1.0
    """
    if content is None or not query_verbs:
        return 0.0
    return 1.0 if set(query_verbs) <= set(verb_lemmas(content)) else 0.0
