"""``python -m tvg_lightning verbs``: the verbs of queries, one query a line in, one JSON object a line out."""

import json
import os
import sys

from tvg_lightning.tasks.verbs import Tagger, tagger_name, verbs, without_verb


def main(tagger: Tagger = "auto") -> None:
    """Find the verbs of every line of standard input; write one JSON object a line, also for a line without any.

    Keys: verb (the first one as written, or ""), lemma (its dictionary form), verbs (the lemmas of all verbs in
    order), without_verb (the query with the first verb taken out, nothing left in its place).

    Args:
        tagger: the reader of the queries. auto: the one that TVG_VERB_TAGGER names, else spaCy where its model
            en_core_web_sm is installed, else HanTa. They differ now and then.
    """
    name = tagger_name(tagger)
    try:
        for line in sys.stdin.buffer:
            query = line.decode("utf-8-sig", errors="replace").strip()
            sys.stdout.write(json.dumps(_record(query, name)) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        # the reader has seen enough (| head); what is still buffered must not fail a second time when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _record(query: str, tagger: Tagger) -> dict[str, str | list[str]]:
    found = verbs(query, tagger)
    return {
        "verb": found[0].text if found else "",
        "lemma": found[0].lemma if found else "",
        "verbs": [verb.lemma for verb in found],
        "without_verb": without_verb(query, found[0]) if found else query,
    }
