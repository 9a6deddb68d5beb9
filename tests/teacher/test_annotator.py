import asyncio
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.teacher.material import samples
from tests.teacher.server import USAGE, Say, TeacherServer, answer, error
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.teacher.annotator import Annotator
from tvg_lightning.teacher.endpoint import Endpoint
from tvg_lightning.teacher.ledger import Ledger
from tvg_lightning.teacher.purse import Purse
from tvg_lightning.teacher.questions import make_question
from tvg_lightning.teacher.reply import Tokens
from tvg_lightning.teacher.settings import BudgetSettings, EndpointSettings, QuestionSettings

TVG_R1 = AnswerFormat(Method.TVG_R1)

FEW = FrameSettings(uniform_frames=2)


@dataclass
class Bench:
    """Runs questions ``number 0`` … against a server, any number of times into one ledger."""

    server: TeacherServer
    videos: Path
    folder: Path
    pauses: list[float] = field(default_factory=list)

    def run(
        self, num: int, budget: BudgetSettings | None = None, question: dict[str, Any] | None = None, **endpoint: Any
    ) -> Annotator:
        settings = EndpointSettings(self.server.base_url, "m", **{"api_key_env": None, "timeout_s": 60.0, **endpoint})
        asked = QuestionSettings(frames=FEW, **(question or {}))

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        questions = [make_question(s, TVG_R1, self.videos, "m", asked) for s in samples(num)]
        with Ledger(self.folder / "ledger.jsonl") as ledger:
            purse = Purse(budget or BudgetSettings(), ledger.num_requests, ledger.tokens, asked.max_tokens)
            annotator = Annotator(Endpoint(settings), ledger, purse, asked, TVG_R1, pause)
            asyncio.run(annotator.run(questions))
        return annotator


@pytest.fixture
def bench(server: TeacherServer, videos: Path, tmp_path: Path) -> Bench:
    return Bench(server, videos, tmp_path)


def once(num: int) -> Counter[str]:
    return Counter(f"number {k}" for k in range(num))


def test_every_question_is_asked_once_and_never_again(bench: Bench) -> None:
    for _ in range(2):
        annotator = bench.run(6, concurrency=3)
        assert len(annotator.ledger.replies) == 6 and annotator.stopped is None and annotator.set_aside == {}
        assert bench.server.served == once(6)
    assert bench.run(8).num_answered == 2
    assert bench.server.served == once(8)


def test_as_many_at_once_as_are_allowed(bench: Bench) -> None:
    together = threading.Barrier(3, timeout=20)  # no answer before three questions are there

    def plan(query: str, n: int) -> Say:
        together.wait()
        return answer()

    bench.server.plan = plan
    assert len(bench.run(9, concurrency=3).ledger.replies) == 9
    assert bench.server.most_at_once == 3


def test_several_answers_to_a_question(bench: Bench) -> None:
    bench.run(2)
    annotator = bench.run(2, question={"num_answers": 3})
    assert len(annotator.ledger.replies) == 6
    assert bench.server.served == Counter({"number 0": 3, "number 1": 3})


@pytest.mark.parametrize(
    "say",
    [
        error(429),
        error(500),
        error(503),
        error(408),
        Say(b"{"),
        Say({"choices": []}),
        Say(answer().content, break_off=True),
        Say(hang=True),
    ],
)
def test_what_passes_is_tried_again(bench: Bench, say: Say) -> None:
    bench.server.plan = lambda query, n: say if n < 2 else answer()
    annotator = bench.run(1, timeout_s=0.3 if say.hang else 60.0, backoff_s=2.0)
    assert len(annotator.ledger.replies) == 1 and bench.server.served == Counter({"number 0": 3})
    first, second = bench.pauses
    assert 1.0 <= first <= 2.0 <= second <= 4.0


def test_retry_after_is_heeded(bench: Bench) -> None:
    bench.server.plan = lambda query, n: error(429, Retry_After="30") if n == 0 else answer()
    assert len(bench.run(1).ledger.replies) == 1
    assert bench.pauses == [30.0]


def test_a_server_that_wants_a_long_rest_ends_the_run(bench: Bench) -> None:
    bench.server.plan = lambda query, n: error(429, "quota of the day", Retry_After="3600")
    stopped = bench.run(3, concurrency=1).stopped
    assert stopped is not None and stopped.is_fault
    assert stopped.reason == ("HTTP 429: quota of the day; the server wants 3600 s of rest, above endpoint.max_wait_s")
    assert bench.pauses == [] and bench.server.served == once(1)


def test_after_max_retries_a_question_is_set_aside_and_the_next_run_asks_again(bench: Bench) -> None:
    bench.server.plan = lambda query, n: error(500, "oops") if query == "number 1" else answer()
    annotator = bench.run(3, max_retries=2)
    assert list(annotator.set_aside.values()) == ["no answer in 3 tries: HTTP 500: oops"]
    assert annotator.stopped is None and bench.server.served["number 1"] == 3
    bench.server.plan = lambda query, n: answer()
    assert bench.run(3).set_aside == {}
    assert bench.server.served == Counter({"number 0": 1, "number 1": 4, "number 2": 1})


def test_a_question_turned_down_is_set_aside_at_once(bench: Bench) -> None:
    bench.server.plan = lambda query, n: error(400, "too many images") if query == "number 1" else answer()
    annotator = bench.run(3)
    assert list(annotator.set_aside.values()) == ["turned down: HTTP 400: too many images"]
    assert bench.server.served == once(3) and bench.pauses == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_no_question_can_pass_ends_the_run(bench: Bench, status: int) -> None:
    bench.server.plan = lambda query, n: error(status, "who are you")
    annotator = bench.run(9, concurrency=2)
    assert annotator.stopped is not None and annotator.stopped.is_fault
    assert annotator.stopped.reason == f"HTTP {status}: who are you"
    assert sum(bench.server.served.values()) <= 2 and annotator.set_aside == {}


def test_a_server_that_refuses_everything_ends_the_run(bench: Bench) -> None:
    bench.server.plan = lambda query, n: answer() if query == "number 2" else error(400, "no images here")
    stopped = bench.run(9, concurrency=1, max_failures_in_a_row=3).stopped
    assert stopped is not None and stopped.is_fault
    assert stopped.reason == "3 questions in a row have failed; the last: turned down: HTTP 400: no images here"
    assert bench.server.served == once(6)  # two failures, an answer, three failures


def test_a_truncated_answer_is_asked_again_when_it_may_be_longer(bench: Bench) -> None:
    bench.server.plan = lambda query, n: answer("<think>and", "length") if n == 0 else answer()
    annotator = bench.run(2, question={"max_tokens": 64})
    assert (annotator.num_answered, annotator.num_refused) == (2, 2)
    assert bench.run(2, question={"max_tokens": 64}).num_answered == 0
    annotator = bench.run(2, question={"max_tokens": 128})
    assert (annotator.num_answered, annotator.num_refused) == (2, 0)
    assert bench.server.served == Counter({"number 0": 2, "number 1": 2})


def test_an_unreadable_video_costs_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.videos = tmp_path
    (tmp_path / "a.mp4").write_bytes(b"no video")
    annotator = bench.run(2)
    assert len(annotator.set_aside) == 2 and bench.server.served == Counter()
    assert all(reason.startswith("video: ") for reason in annotator.set_aside.values())


def test_requests_are_limited_over_all_runs(bench: Bench) -> None:
    bench.server.plan = lambda query, n: error(500) if n == 0 else answer()
    for max_requests, num_replies in ((5, 2), (5, 2), (9, 4)):
        annotator = bench.run(6, BudgetSettings(max_requests=max_requests), concurrency=1)
        assert annotator.stopped is not None and not annotator.stopped.is_fault
        assert annotator.stopped.reason == "budget.max_requests allows no further request"
        assert sum(bench.server.served.values()) == annotator.ledger.num_requests == max_requests
        assert len(annotator.ledger.replies) == num_replies


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_budget_is_never_exceeded_with_many_under_way(bench: Bench, concurrency: int) -> None:
    """1,000 tokens at 120 an answer and at most 150: the answers are 8, for 7 * 120 + 150 <= 1000 < 8 * 120 + 150."""
    budget = BudgetSettings(max_tokens_total=1000, max_input_tokens=100)
    seen: list[int] = []

    def plan(query: str, n: int) -> Say:
        records = [json.loads(line) for line in (bench.folder / "ledger.jsonl").read_text().splitlines()]
        num_open = sum(1 if record["event"] == "sent" else -1 for record in records)
        paid = sum(sum(record["tokens"]) for record in records if record["event"] == "outcome")
        seen.append(paid + 150 * num_open)
        return answer()

    bench.server.plan = plan
    annotator = bench.run(20, budget, {"max_tokens": 50}, concurrency=concurrency)
    assert max(seen) <= 1000
    assert annotator.stopped is not None and annotator.stopped.reason.startswith("budget.max_tokens_total")
    assert annotator.ledger.tokens == Tokens(800, 160) and sum(bench.server.served.values()) == 8


def test_money_counts_answers_that_were_lost_at_their_worst(bench: Bench) -> None:
    bench.server.plan = lambda query, n: Say(answer().content, break_off=True)
    # a worst case is (100 * 10 + 50 * 20) / 1e6 = 0.002 dollars: three of them, and not four
    budget = BudgetSettings(usd=0.0079, usd_per_million_input=10.0, usd_per_million_output=20.0, max_input_tokens=100)
    annotator = bench.run(5, budget, {"max_tokens": 50}, concurrency=2)
    assert sum(bench.server.served.values()) == 3 and annotator.ledger.tokens == Tokens(300, 150)
    assert annotator.stopped is not None and annotator.stopped.reason.startswith("budget.usd")


def test_an_answer_above_its_worst_case_ends_the_run(bench: Bench) -> None:
    bench.server.plan = lambda query, n: answer(usage={**USAGE, "prompt_tokens": 130, "total_tokens": 150})
    stopped = bench.run(5, BudgetSettings(max_tokens_total=9999, max_input_tokens=100), concurrency=1).stopped
    assert stopped is not None and stopped.is_fault
    assert stopped.reason.startswith("a request cost 130 tokens of input and 20 of output, above its worst case of 100")
    assert bench.server.served == once(1)


def test_a_stop_awaits_what_is_under_way_and_cuts_the_waits_short(bench: Bench) -> None:
    async def body() -> Annotator:
        settings = EndpointSettings(bench.server.base_url, "m", None, concurrency=2, backoff_s=500.0, max_wait_s=500.0)
        asked = QuestionSettings(frames=FEW)
        questions = [make_question(s, TVG_R1, bench.videos, "m", asked) for s in samples(5)]
        with Ledger(bench.folder / "ledger.jsonl") as ledger:
            purse = Purse(BudgetSettings(), 0, Tokens(0, 0), 50)
            annotator = Annotator(Endpoint(settings), ledger, purse, asked, TVG_R1)
            both_there, heard = threading.Barrier(2, timeout=20), threading.Event()

            def plan(query: str, n: int) -> Say:
                both_there.wait()
                if query == "number 0":
                    return error(500)
                heard.wait(20)
                return answer()

            def on_change() -> None:  # number 0 has failed and will wait 250 s or more; number 1 is under way
                annotator.stop("interrupted")
                heard.set()

            bench.server.plan, annotator.on_change = plan, on_change
            await asyncio.wait_for(annotator.run(questions), 60)
        return annotator

    annotator = asyncio.run(body())
    assert annotator.stopped is not None and annotator.stopped.reason == "interrupted"
    assert len(annotator.ledger.replies) == 1 and bench.server.served == once(2)
