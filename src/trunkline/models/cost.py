"""Cost: what a usage costs at a model's prices, exactly.

Owns the choice of the price row, the defaults for prices that providers leave unsaid, and the sum. Knows no provider.
Money is never a float, and a sum that could not be exact raises instead of being rounded.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from trunkline.vocabulary.usage import BUCKETS, Cost, Usage

from .facts import STANDARD, ModelFacts, Rates

UNPRICED_AS = {
    "cache_read": "input",  # a provider that sells no cheaper cache bills every prompt token alike
    "cache_write": "input",  # OpenAI before gpt-5.6, Gemini, DeepSeek: writing to the cache is not charged apart
    "reasoning": "output",  # thinking is generated text; only a few models price it on its own
}
"""The price that stands in where a bucket has none. Buckets not listed stand for themselves: audio costs several times
what text does, an hour in the cache twice the input, so without a price their cost is unknown."""

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
    for bucket in BUCKETS:
        count: int = getattr(usage, bucket)
        if count:
            rate = rate_of(rates, bucket)
            if rate is None:
                return None
            total = EXACT.fma(rate, count, total)
    return EXACT.scaleb(total, PER_TOKEN)


def rate_of(rates: Rates, bucket: str) -> Decimal | None:
    """US dollars for a million tokens of a bucket: its own price, else the one that stands in for it, else None."""
    rate: Decimal | None = getattr(rates, bucket)
    if rate is None and bucket in UNPRICED_AS:
        return getattr(rates, UNPRICED_AS[bucket])
    return rate
