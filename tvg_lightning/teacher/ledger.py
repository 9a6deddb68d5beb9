"""The ledger: requests and their outcomes, line by line on disk, from which everything else is made.

Every try has two lines: ``sent`` with its worst case, before it leaves, and ``outcome`` with the raw response,
synced to disk before anything else is done with it. A try without an outcome was under way when the run died:
nobody knows whether it was paid for, so it counts at its worst, and its question is asked again. So a kill
costs at most as many answers twice as there were requests under way (``endpoint.concurrency``).
"""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tvg_lightning.files import json_lines, repair_last_line
from tvg_lightning.teacher.reply import Outcome, Reply, Tokens, Verdict, read_reply


class Ledger:
    """An append-only file, open in one process at a time.

    ``replies``: every answer paid for, by the key of its question. ``num_requests`` and ``tokens``: of all runs.
    """

    def __init__(self, path: Path) -> None:
        """ValueError if another process has it open or a line is none of ours."""
        self.path = path
        self.replies: dict[str, Reply] = {}
        self.num_requests = 0
        self.tokens = Tokens(0, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ValueError(f"{path}: another run is writing it; wait for its end or choose another folder") from error
        try:
            self._restore()
        except ValueError:
            self._file.close()
            raise

    def sent(self, key: str, sample_id: str, worst: Tokens) -> None:
        """Record that a request is about to leave."""
        self.num_requests += 1
        self._append({"event": "sent", "key": key, "sample_id": sample_id, "worst": worst})

    def settle(self, key: str, outcome: Outcome, worst: Tokens) -> Tokens:
        """Record the outcome of a request; returns what it cost, the worst case where nobody knows."""
        cost = outcome.tokens if outcome.tokens is not None else worst
        record = {"event": "outcome", "key": key, "verdict": outcome.verdict, "tokens": cost, "reason": outcome.reason}
        self._append({**record, "response": outcome.response})
        os.fsync(self._file.fileno())
        self._count(cost)
        if outcome.verdict is Verdict.ANSWERED:
            assert outcome.response is not None
            self.replies[key] = read_reply(outcome.response, worst.output)
        return cost

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, record: dict[str, Any]) -> None:
        """ASCII, so that no text of a model (lone surrogates too) fails to encode."""
        self._file.write((json.dumps(record) + "\n").encode("ascii"))
        self._file.flush()

    def _count(self, cost: Tokens) -> None:
        self.tokens = Tokens(self.tokens.input + cost.input, self.tokens.output + cost.output)

    def _restore(self) -> None:
        open_tries: dict[str, Tokens] = {}  # a question has one request under way at a time
        repair_last_line(self.path)  # of a run that died while it wrote
        for number, record in json_lines(self.path):
            try:
                self._take(record, open_tries)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(
                    f"{self.path}:{number}: not a line of a ledger ({error!r}); restore the file"
                ) from error
        for worst in open_tries.values():
            self._count(worst)

    def _take(self, record: dict[str, Any], open_tries: dict[str, Tokens]) -> None:
        key = record["key"]
        if record["event"] == "sent":
            self.num_requests += 1
            if key in open_tries:  # of a run that died; its question is asked again here
                self._count(open_tries[key])
            open_tries[key] = Tokens(*record["worst"])
            return
        worst = open_tries.pop(key)
        self._count(Tokens(*record["tokens"]))
        if Verdict(record["verdict"]) is Verdict.ANSWERED:
            self.replies[key] = read_reply(record["response"], worst.output)
