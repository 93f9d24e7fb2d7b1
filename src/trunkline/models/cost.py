"""Cost: what a usage costs at a model's prices, exactly.

Owns the choice of the price row and the sum. Knows no provider.
Money is never a float, and a sum that could not be exact raises instead of being rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from math import ceil
from operator import attrgetter

from msgspec import Struct

from trunkline.vocabulary.usage import BUCKETS, Cost, Usage

from .facts import STANDARD, ModelFacts

TIERS = {
    None: STANDARD,
    "": STANDARD,
    "auto": STANDARD,  # no provider reports it back; a request that says it gets the standard price at least
    "default": STANDARD,  # OpenAI, Bedrock
    "standard_only": STANDARD,  # Anthropic's request word
    "on_demand": STANDARD,  # Groq
}
"""What providers call the standard tier. Other words name themselves (`flex`, `priority`, `batch`)."""

# Independent of the program's own decimal context, which may round to fewer digits.
EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])
PER_TOKEN = -6  # prices are per million tokens
NOTHING = Decimal(0)


def price(facts: ModelFacts | None, usage: Usage, *, tier: str | None = None) -> Cost | None:
    """What the usage costs in US dollars, exactly; None where that is unknown.

    Unknown means: no facts, no price at this tier, or a used bucket without a price and without a default. `tier` is
    the service tier that the provider said it served. A long prompt's price applies to the whole call, and its length
    counts cached tokens too. Fees that are not per token (searches, requests, sessions) are not included.
    """
    rates = facts and facts.rates(usage.prompt_tokens, TIERS.get(tier, tier or STANDARD))
    if rates is None:
        return None
    total = NOTHING
    for count, rate in zip(_counts(usage), rates.charged, strict=True):
        if count:
            if rate is None:
                return None
            total = EXACT.fma(rate, count, total)
    return EXACT.scaleb(total, PER_TOKEN)


class Tariff(Struct, frozen=True):
    """What must be known of a model to reserve for a call before anything is known exactly: whole numbers, for that is
    a tenth of the time of `price`."""

    max_output: int | None = None
    """Tokens an answer may have, where known."""
    steps: tuple[tuple[int, int | None, int | None], ...] = ()
    """Above so many tokens of the prompt, what a token of plain input and one of plain output cost at the standard
    tier, in pico-dollars; None: no price. Those of longer prompts first; empty where no price is known."""

    def reckoned(self, prompt: int, answer: int) -> int | None:
        """Nano-dollars, rounded up, that so many tokens cost; None where that is unknown."""
        for above, read, written in self.steps:
            if prompt > above or not above:
                if (read is None and prompt) or (written is None and answer):
                    return None
                return -(-(prompt * (read or 0) + answer * (written or 0)) // 1000)
        return None


def tariff(facts: ModelFacts | None) -> Tariff:
    """The tariff of a model, of which perhaps nothing is known."""
    if facts is None:
        return Tariff()
    rows = sorted((row for row in facts.prices if row.tier == STANDARD), key=lambda row: -row.above)
    return Tariff(facts.max_output, tuple((row.above, _pico(row.input), _pico(row.output)) for row in rows))


def _pico(rate: Decimal | None) -> int | None:
    """Pico-dollars for a token, rounded up, of dollars for a million."""
    return ceil(rate * 10**6) if rate is not None else None


_counts: Callable[[Usage], tuple[int, ...]] = attrgetter(*BUCKETS)
