"""What a usage costs: exact, None where unknown, and the same as a second opinion says."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from trunkline.models.cost import Tariff, price, tariff
from trunkline.models.facts import UNPRICED_AS, ModelFacts, Rates, book
from trunkline.vocabulary.usage import BUCKETS, Usage


def facts(*rates):
    return ModelFacts(provider="acme", model="one", prices=rates)


def dollars(text):
    return Decimal(text)


def test_openai_cached_tokens_are_charged_at_their_own_price():
    gpt = facts(Rates(input=dollars("2.5"), cache_read=dollars("1.25"), output=dollars("10")))
    usage = Usage(input=1_000, cache_read=3_000, output=200, reasoning=50)
    # 1000 x 2.5 + 3000 x 1.25 + 250 x 10, per million
    assert price(gpt, usage) == dollars("0.00875")


def test_anthropic_cache_writes_of_five_minutes_and_an_hour_are_charged_apart():
    rates = Rates(
        input=dollars("3"),
        cache_read=dollars("0.3"),
        cache_write=dollars("3.75"),
        cache_write_1h=dollars("6"),
        output=dollars("15"),
    )
    usage = Usage(input=10, cache_read=20_000, cache_write=2_000, cache_write_1h=1_000, output=500)
    assert price(facts(rates), usage) == dollars("0.02703")


def test_a_long_prompt_changes_the_price_of_the_whole_call_and_cached_tokens_count_towards_its_length():
    short = Rates(input=dollars("1.25"), cache_read=dollars("0.125"), output=dollars("10"))
    long = Rates(above=200_000, input=dollars("2.5"), cache_read=dollars("0.25"), output=dollars("15"))
    for model in (facts(short, long), facts(long, short)):
        assert price(model, Usage(input=100_000, cache_read=100_000, output=100)) == dollars("0.1385")
        assert price(model, Usage(input=100_000, cache_read=100_001, output=100)) == dollars("0.27650025")


def test_embeddings_cost_their_input():
    assert price(book().lookup("openai", "text-embedding-3-small"), Usage(input=1_000_000)) == dollars("0.02")


def test_another_service_tier_has_its_own_price_and_an_unpriced_one_is_unknown():
    model = facts(Rates(input=dollars("2")), Rates(tier="flex", input=dollars("1")))
    usage = Usage(input=1_000_000)
    assert [price(model, usage, tier=tier) for tier in (None, "default", "standard", "flex")] == [2, 2, 2, 1]
    assert price(model, usage, tier="priority") is None


def test_no_facts_no_price_and_no_price_for_a_used_bucket_are_unknown():
    text = facts(Rates(input=dollars("1"), output=dollars("2")))
    assert price(None, Usage()) is None
    assert price(facts(), Usage()) is None
    assert price(text, Usage(input=1, input_audio=1)) is None
    assert price(text, Usage(input=1, cache_write_1h=1)) is None
    assert price(text, Usage(output_audio=1)) is None


@pytest.mark.parametrize(("bucket", "stands_in"), UNPRICED_AS.items())
def test_what_is_not_priced_apart_costs_as_much_as_what_stands_in_for_it(bucket, stands_in):
    model = facts(Rates(input=dollars("1"), output=dollars("2")))
    assert price(model, Usage(**{bucket: 7})) == price(model, Usage(**{stands_in: 7}))


@pytest.mark.parametrize(("provider", "model"), [("local", "smollm2"), ("mock", "anything"), ("ollama", "llama3.2")])
def test_what_runs_on_the_own_machine_costs_exactly_nothing(provider, model):
    cost = price(book().lookup(provider, model), Usage(input=10, cache_read=10, output=10, reasoning=10))
    assert cost == 0
    assert cost is not None


def test_ollamas_cloud_does_not_run_on_the_own_machine():
    assert price(book().lookup("ollama", "gpt-oss:120b-cloud"), Usage(input=1)) is None


def test_the_sum_is_exact_whatever_the_program_does_with_its_decimal_context():
    model = facts(Rates(input=dollars("0.0123456789"), output=dollars("987654.321")))
    usage = Usage(input=123_456_789_123, output=987_654_321)
    exact = price(model, usage)
    with localcontext(prec=3):
        assert price(model, usage) == exact
    assert exact == dollars("975462581.9478475785706047")


counts = st.integers(min_value=0, max_value=10**9)
usages = st.builds(Usage, **dict.fromkeys(BUCKETS, counts))
prices = st.decimals(min_value=0, max_value=1000, places=6)
models = st.builds(Rates, **dict.fromkeys(BUCKETS, prices)).map(facts)


@given(models, usages, usages)
def test_two_usages_together_cost_what_they_cost_apart(model, one, other):
    assert price(model, one + other) == price(model, one) + price(model, other)


@given(models, usages)
def test_cost_is_never_negative_and_nothing_costs_nothing(model, usage):
    assert price(model, usage) >= 0
    assert price(model, Usage()) == 0


@given(models, st.sampled_from(BUCKETS), counts)
def test_a_bucket_costs_its_tokens_times_its_price(model, bucket, count):
    rate = getattr(model.prices[0], bucket)
    assert price(model, Usage(**{bucket: count})) * 1_000_000 == rate * count


# The second opinion: genai-prices, kept by other people from the providers' pages.

WELL_KNOWN = {
    "anthropic": [
        "claude-haiku-4-5",
        "claude-opus-4-5",
        "claude-opus-4-6",
        "claude-opus-5",
        "claude-sonnet-4-6",
        "claude-sonnet-5",
        "claude-3-opus-20240229",
    ],
    "openai": [
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-5",
        "gpt-5.2",
        "gpt-5.6",
        "gpt-6-astra",
        "o3",
        "gpt-4-turbo",
        "text-embedding-3-small",
        "text-embedding-3-large",
    ],
    "google": ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.1-pro-preview", "gemini-3.5-flash"],
    "mistral": ["mistral-large-2512", "mistral-medium-latest", "mistral-large-latest"],
    "deepseek": ["deepseek-v4-flash"],
    "xai": ["grok-4.3", "grok-4.6", "grok-code-fast-1"],
    "groq": ["openai/gpt-oss-120b"],
    "cerebras": ["gpt-oss-120b"],
    "cohere": ["command-a-03-2025"],
    "perplexity": ["sonar-pro"],
    "together": ["moonshotai/Kimi-K3", "meta-llama/Llama-3.3-70B-Instruct-Turbo"],
    "bedrock": ["amazon.nova-pro-v1:0"],
}

DIFFERENCES = {
    "mistral/mistral-large-latest": "theirs is Large 2 at $2/$6; litellm and models.dev: Large 3 at $0.50/$1.50",
    "xai/grok-code-fast-1": "litellm, two days newer: $1/$2, the price of the model that answers to this name now",
    "perplexity/sonar-pro": "they add the fee per request, which is not a price of tokens",
    "together/meta-llama/Llama-3.3-70B-Instruct-Turbo": "litellm, two days newer: $1.04 instead of $0.88",
}
THEIR_NAMES = {"xai": "x-ai", "bedrock": "aws"}


PEAK = datetime(2026, 11, 20, 1, tzinfo=UTC)
"""An hour without DeepSeek's discount: which price is right depends on the clock."""


def second_opinion(provider, model, usage):
    """Their price of the same tokens. They count as OpenAI does: prompt and answer include their parts."""
    parts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_write_1h_tokens": usage.cache_write_1h,
    }
    used = {name: count for name, count in parts.items() if count}
    theirs = THEIR_NAMES.get(provider, provider)
    return calc_price(TheirUsage(**used), model, provider_id=theirs, genai_request_timestamp=PEAK).total_price


def typical_usages(known):
    """Usages that the model's API can report: plain, cached, and beyond the last threshold."""
    yield Usage(input=1_234)
    if known.mode != "embedding":
        cached = Usage(input=1_234, cache_read=10_000 if known.prompt_cache else 0, output=567)
        yield cached
        yield cached + Usage(input=max(rates.above for rates in known.prices))
    if known.provider == "anthropic":
        yield Usage(input=12, cache_read=3_000, cache_write=2_000, cache_write_1h=1_000, output=567)


@given(st.integers(0, 10**6), st.integers(0, 10**5))
def test_what_is_reckoned_is_the_price_of_text_rounded_up(read, written):
    for known in (book().lookup("openai", "gpt-4o"), book().lookup("google", "gemini-2.5-pro")):
        exact = price(known, Usage(input=read, output=written)) * 10**9
        assert exact <= tariff(known).reckoned(read, written) < exact + 1


def test_what_has_no_price_is_not_reckoned():
    assert tariff(None) == Tariff(None, ())
    assert tariff(None).reckoned(1, 1) is None
    half = tariff(facts(Rates(input=dollars("1")), Rates(tier="batch", output=dollars("1"))))
    assert (half.reckoned(1_000_000, 0), half.reckoned(0, 1)) == (10**9, None)


@pytest.mark.parametrize(("provider", "model"), [(name, model) for name in WELL_KNOWN for model in WELL_KNOWN[name]])
def test_costs_agree_with_genai_prices_or_the_difference_is_explained(provider, model):
    known = book().lookup(provider, model)
    agreed = all(price(known, usage) == second_opinion(provider, model, usage) for usage in typical_usages(known))
    assert agreed is (f"{provider}/{model}" not in DIFFERENCES), "explain the difference, or strike it from the list"
