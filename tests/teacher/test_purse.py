import asyncio
import random
from collections.abc import Coroutine

import pytest

from tvg_lightning.teacher.purse import Purse
from tvg_lightning.teacher.reply import Tokens
from tvg_lightning.teacher.settings import BudgetSettings


def run(body: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 30))  # a reserve that nobody wakes fails instead of hanging


def purse(num_requests: int = 0, tokens: Tokens = Tokens(0, 0), **budget: float) -> Purse:  # noqa: B008
    settings = BudgetSettings(max_input_tokens=100, **budget)  # type: ignore[arg-type]
    return Purse(settings, num_requests, tokens, max_output_tokens=50)


def test_requests_are_counted_with_those_of_earlier_runs() -> None:
    async def body() -> None:
        some = purse(num_requests=3, max_requests=5)
        assert [await some.reserve() for _ in range(3)] == [None, None, "max_requests"]
        await some.give_back()
        assert await some.reserve() is None

    run(body())


@pytest.mark.parametrize(
    ("budget", "limit"),
    [
        ({"max_tokens_total": 449}, "max_tokens_total"),  # two worst cases are 300, three 450
        # two worst cases are 200 * 2 + 100 * 8 = 1200 millionths, three 1800
        ({"usd": 0.00179, "usd_per_million_input": 2.0, "usd_per_million_output": 8.0}, "usd"),
    ],
)
def test_a_worst_case_waits_for_others_and_then_for_nothing(budget: dict[str, float], limit: str) -> None:
    async def body() -> None:
        some = purse(**budget)
        assert await some.reserve() is None and await some.reserve() is None
        third = asyncio.create_task(some.reserve())
        await asyncio.sleep(0)
        assert not third.done()
        assert await some.settle(Tokens(10, 5))  # 15 spent and 150 under way: 150 more fit
        assert await third is None
        fourth = asyncio.create_task(some.reserve())
        await some.settle(Tokens(100, 50))
        await some.settle(Tokens(100, 50))
        assert await fourth == limit  # 315 spent, nothing under way
        assert some.tokens == Tokens(210, 105)

    run(body())


def test_what_costs_more_than_its_worst_case_is_told() -> None:
    async def body() -> None:
        limited, free = purse(max_tokens_total=1000), purse(max_requests=10)
        for some in (limited, free):
            for _ in range(3):
                await some.reserve()
        assert await limited.settle(Tokens(100, 50))
        assert not await limited.settle(Tokens(101, 0))
        assert not await limited.settle(Tokens(0, 51))
        assert await free.settle(Tokens(101, 51))

    run(body())


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_events_breaks_a_limit(seed: int) -> None:
    chance = random.Random(seed)
    some = purse(max_tokens_total=2000, usd=0.004, usd_per_million_input=2.0, usd_per_million_output=8.0)
    num_open = 0

    async def worker() -> None:
        nonlocal num_open
        while await some.reserve() is None:
            num_open += 1
            worst = Tokens(some.tokens.input + 100 * num_open, some.tokens.output + 50 * num_open)
            assert sum(worst) <= 2000 and some.usd(worst) <= 0.004
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            num_open -= 1
            await some.settle(Tokens(chance.randrange(101), chance.randrange(51)))

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(7):
                group.create_task(worker())

    run(body())
    worst = Tokens(some.tokens.input + 100, some.tokens.output + 50)
    assert sum(worst) > 2000 or some.usd(worst) > 0.004  # and nothing that fits is left unused


def test_summary() -> None:
    prices = {"usd_per_million_input": 2.0, "usd_per_million_output": 8.0}
    assert purse(12, Tokens(34000, 1000), **prices).summary() == "12 requests, 35,000 tokens, $0.0760"
    assert purse(12, Tokens(34000, 1000)).summary() == "12 requests, 35,000 tokens"
