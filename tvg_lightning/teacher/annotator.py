"""Many questions at once, each asked until it is answered, refused, or the run has to stop."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

from tvg_lightning.data.video import VideoError
from tvg_lightning.schema import AnswerFormat
from tvg_lightning.teacher.endpoint import Endpoint, wait_s
from tvg_lightning.teacher.ledger import Ledger
from tvg_lightning.teacher.purse import Purse
from tvg_lightning.teacher.questions import Question, make_body
from tvg_lightning.teacher.reply import Outcome, Verdict
from tvg_lightning.teacher.results import refusal
from tvg_lightning.teacher.settings import QuestionSettings


@dataclass(frozen=True, slots=True)
class Stop:
    """The reason why a run ended early; ``is_fault``: something has to be fixed first."""

    reason: str
    is_fault: bool


class Annotator:
    """Asks every question whose answers are not in the ledger yet; ``set_aside`` says why some got none.

    ``on_change`` is called after every try; ``pause`` waits so many seconds, or until the run is stopped.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        purse: Purse,
        settings: QuestionSettings,
        form: AnswerFormat,
        pause: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.endpoint, self.ledger, self.purse, self.settings, self.form = endpoint, ledger, purse, settings, form
        self.num_answered = self.num_refused = 0  # in this run; the refused are among the answered
        self.set_aside: dict[str, str] = {}  # by key
        self.stopped: Stop | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._pause = pause or self._sleep
        self._stop_event = asyncio.Event()
        self._chance = random.Random(endpoint.settings.seed)
        self._num_failures_in_a_row = 0

    async def run(self, questions: Iterable[Question]) -> None:
        """Ends when all are done, or after ``stop``, once what is under way has come back."""
        waiting = iter(questions)
        async with self.endpoint, asyncio.TaskGroup() as workers:
            for _ in range(self.endpoint.settings.concurrency):
                workers.create_task(self._work(waiting))

    def stop(self, reason: str, is_fault: bool = False) -> None:
        """Send nothing more; what is under way is paid for, so its answers are awaited. The first reason stays."""
        self.stopped = self.stopped or Stop(reason, is_fault)
        self._stop_event.set()

    def is_answered(self, key: str) -> bool:
        """True where the answer is paid for, and not a truncated one that may be longer by now."""
        reply = self.ledger.replies.get(key)
        return reply is not None and not (reply.is_truncated and reply.max_tokens < self.settings.max_tokens)

    async def _work(self, waiting: Iterator[Question]) -> None:
        while self.stopped is None and (question := next(waiting, None)) is not None:
            missing = [key for key in question.keys if not self.is_answered(key)]
            if not missing:
                continue
            try:
                body = await asyncio.to_thread(make_body, question, self.endpoint.settings.model, self.settings)
            except VideoError as error:
                self.set_aside |= dict.fromkeys(missing, f"video: {error}")
                self.on_change()
                continue
            for key in missing:
                await self._ask(question, key, body)

    async def _ask(self, question: Question, key: str, body: bytes) -> None:
        """One answer, by as many tries as are allowed; returns early where the run stops."""
        num_failed = 0
        while await self._may_send():
            outcome = await self._try(question, key, body)
            if outcome.verdict is Verdict.ANSWERED:
                self._num_failures_in_a_row = 0
                return
            if outcome.verdict is Verdict.STOP:
                return self.stop(outcome.reason, is_fault=True)
            num_failed += 1
            if outcome.verdict is Verdict.ASIDE:
                return self._fail(key, f"turned down: {outcome.reason}")
            if num_failed > self.endpoint.settings.max_retries:
                return self._fail(key, f"no answer in {num_failed} tries: {outcome.reason}")
            await self._wait(num_failed, outcome)

    async def _may_send(self) -> bool:
        """True where one more request may leave now; its worst case is then set aside."""
        if self.stopped is not None:
            return False
        limit = await self.purse.reserve()
        if limit is not None:
            self.stop(f"budget.{limit} allows no further request")
            return False
        if self.stopped is not None:  # while this one waited for its reserve
            await self.purse.give_back()
            return False
        return True

    async def _try(self, question: Question, key: str, body: bytes) -> Outcome:
        worst = self.purse.worst
        self.ledger.sent(key, question.sample.sample_id, worst)
        outcome = await self.endpoint.ask(body)
        cost = self.ledger.settle(key, outcome, worst)
        if not await self.purse.settle(cost):
            self.stop(
                f"a request cost {cost.input} tokens of input and {cost.output} of output, above its worst case of "
                f"{worst.input} (budget.max_input_tokens) and {worst.output} (question.max_tokens): raise these",
                is_fault=True,
            )
        if outcome.verdict is Verdict.ANSWERED:
            self.num_answered += 1
            self.num_refused += refusal(self.ledger.replies[key], self.form) is not None
        self.on_change()
        return outcome

    def _fail(self, key: str, reason: str) -> None:
        self.set_aside[key] = reason
        self.on_change()
        self._num_failures_in_a_row += 1
        if self._num_failures_in_a_row >= self.endpoint.settings.max_failures_in_a_row:
            self.stop(
                f"{self._num_failures_in_a_row} questions in a row have failed; the last: {reason}", is_fault=True
            )

    async def _wait(self, num_failed: int, outcome: Outcome) -> None:
        settings = self.endpoint.settings
        seconds = wait_s(num_failed, outcome.retry_after_s, settings, self._chance)
        if seconds > settings.max_wait_s:
            self.stop(f"{outcome.reason}; the server wants {seconds:.0f} s of rest, above endpoint.max_wait_s", True)
            return
        await self._pause(seconds)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the run is stopped meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop_event.wait()
        except TimeoutError:
            return
