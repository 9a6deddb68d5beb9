"""The budget at work: nothing is sent unless its worst case still fits beside all that is under way."""

import asyncio

from tvg_lightning.teacher.reply import Tokens
from tvg_lightning.teacher.settings import BudgetSettings


class Purse:
    """The amount spent, and the amount set aside for requests under way. For one event loop."""

    def __init__(self, settings: BudgetSettings, num_requests: int, tokens: Tokens, max_output_tokens: int) -> None:
        """``num_requests`` and ``tokens`` were spent by earlier runs."""
        self.settings = settings
        self.num_requests, self.tokens = num_requests, tokens
        self.worst = Tokens(settings.max_input_tokens or 0, max_output_tokens)
        self._num_open = 0
        self._changed = asyncio.Condition()

    async def reserve(self) -> str | None:
        """Set one request's worst case aside, if need be once others are settled; the limit it can never meet."""
        async with self._changed:
            while (limit := self._broken_limit()) is not None and self._num_open > 0 and limit != "max_requests":
                await self._changed.wait()
            if limit is None:
                self._num_open += 1
                self.num_requests += 1
            return limit

    async def settle(self, cost: Tokens) -> bool:
        """Put the true cost in place of the worst case; False if it was above it, which the budget forbids."""
        async with self._changed:
            self._num_open -= 1
            self.tokens = Tokens(self.tokens.input + cost.input, self.tokens.output + cost.output)
            self._changed.notify_all()
        return not self.settings.limits_tokens or (cost.input <= self.worst.input and cost.output <= self.worst.output)

    async def give_back(self) -> None:
        """Undo ``reserve`` for a request that is not sent after all."""
        async with self._changed:
            self._num_open -= 1
            self.num_requests -= 1
            self._changed.notify_all()

    def _broken_limit(self) -> str | None:
        """The limit that one more request could break, if any."""
        num_worst = self._num_open + 1
        tokens = Tokens(
            self.tokens.input + num_worst * self.worst.input, self.tokens.output + num_worst * self.worst.output
        )
        limits = self.settings
        if limits.max_requests is not None and self.num_requests + 1 > limits.max_requests:
            return "max_requests"
        if limits.max_tokens_total is not None and sum(tokens) > limits.max_tokens_total:
            return "max_tokens_total"
        if limits.usd is not None and self.usd(tokens) > limits.usd:
            return "usd"
        return None

    def usd(self, tokens: Tokens) -> float:
        """Money by the prices given; 0 where none are."""
        price_in, price_out = self.settings.usd_per_million_input or 0.0, self.settings.usd_per_million_output or 0.0
        return (tokens.input * price_in + tokens.output * price_out) / 1e6

    def summary(self) -> str:
        """``12 requests, 34,000 tokens, $0.12``, as far as it is known."""
        money = f", ${self.usd(self.tokens):.4f}" if self.settings.has_prices else ""
        return f"{self.num_requests:,} requests, {sum(self.tokens):,} tokens{money}"
