"""Facts about models: found by name and alias, overridden, and well kept in the snapshot."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

import trunkline.models.facts
from trunkline.models.facts import FactBook, ModelFacts, Rates, book, snapshot
from trunkline.models.tokens import ATTACHMENT, estimate
from trunkline.vocabulary.usage import BUCKETS

SNAPSHOT = Path(trunkline.models.facts.__file__).with_name("snapshot.json.gz")
PRICES = [
    (facts, getattr(rates, bucket))
    for facts in snapshot().models
    for rates in facts.prices
    for bucket in BUCKETS
    if getattr(rates, bucket) is not None
]


def test_a_known_model_has_abilities_limits_and_a_price():
    facts = book().lookup("openai", "gpt-4o")
    assert (facts.mode, facts.context, facts.max_output) == ("chat", 128_000, 16_384)
    assert facts.tools and facts.vision and facts.structured_output and facts.temperature
    assert (str(facts.rates().input), str(facts.rates().output)) == ("2.5", "10")


@pytest.mark.parametrize("model", ["o3", "gpt-5", "gpt-5.6", "gpt-6-astra"])
def test_openai_reasoning_models_reject_sampling_settings(model):
    for provider, name in (("openai", model), ("azure", model), ("openrouter", f"openai/{model}")):
        facts = book().lookup(provider, name)
        assert (facts.reasoning, facts.temperature) == (True, False)


def test_embedding_models_have_a_dimension():
    facts = book().lookup("openai", "text-embedding-3-small")
    assert (facts.mode, facts.dimension, facts.max_output) == ("embedding", 1536, None)


@pytest.mark.parametrize(
    ("provider", "asked", "found"),
    [
        ("openai", "gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06"),  # its own row first
        ("openai", "gpt-4o-2031-01-01", "openai/gpt-4o"),
        ("anthropic", "claude-opus-4-5-20310101", "anthropic/claude-opus-4-5"),
        ("anthropic", "claude-3-5-haiku", "anthropic/claude-3-5-haiku-latest"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::x1", "openai/ft:gpt-4o-mini-2024-07-18"),
        ("google", "models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("azure", "gpt-4o", "azure/gpt-4o"),
        ("azure", "gpt-4-turbo-2024-04-09", "azure/gpt-4-turbo-2024-04-09"),
        ("azure", "text-embedding-ada-002-v2", "openai/text-embedding-ada-002-v2"),
        ("azure", "gpt-35-turbo-instruct-0914", "azure/gpt-35-turbo-instruct-0914"),
        ("openrouter", "anthropic/claude-sonnet-4.6", "openrouter/anthropic/claude-sonnet-4.6"),
        ("openrouter", "anthropic/claude-opus-4.5-20251101", "openrouter/anthropic/claude-opus-4.5"),
        ("openrouter", "anthropic/claude-mythos-5.1", "anthropic/claude-mythos-5-1"),
        ("fireworks", "deepseek-v3p1", "fireworks/accounts/fireworks/models/deepseek-v3p1"),
        ("bedrock", "au.amazon.nova-micro-v1:0", "bedrock/amazon.nova-micro-v1:0"),
        ("bedrock-openai", "us-gov.openai.gpt-oss-20b-1:0", "bedrock/us-gov.openai.gpt-oss-20b-1:0"),
        ("vertex", "gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("vertex-anthropic", "claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5-20250929"),
        ("vertex-anthropic", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("local", "smollm2-135m", "local/*"),
        ("ollama", "llama3.2:1b", "ollama/*"),
    ],
)
def test_lookup_knows_other_spellings(provider, asked, found):
    facts = book().lookup(provider, asked)
    assert f"{facts.provider}/{facts.model}" == found


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-nonsense"),
        ("nowhere", "gpt-4o"),
        ("ollama", "made-up:cloud"),
        ("openrouter", "gpt-4o:free"),
    ],
)
def test_unknown_models_are_none(provider, model):
    assert book().lookup(provider, model) is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("claude-3-opus-20240229", "anthropic"),
        ("claude-2", "anthropic"),
        ("deepseek-chat", "deepseek"),
        ("mistral-large-latest", "mistral"),
        ("grok-4", "xai"),
        ("gemini-2.5-pro", "google"),
        ("command-r", "cohere"),
        ("text-embedding-3-small", "openai"),
        ("sonar-pro", "perplexity"),
        ("llama-3.3-70b-versatile", "groq"),  # one reseller lists it
        ("gpt-99-preview", "openai"),  # nobody lists it yet
        ("claude-opus-99", "anthropic"),
        ("gpt-oss-120b", None),  # several resellers, no lab
        ("gpt-oss-999b", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_home_is_the_lab_or_the_only_seller_or_none(model, provider):
    assert book().home(model) == provider


def test_an_override_replaces_a_row_and_leaves_the_shared_facts_alone():
    mine = structs.replace(book().lookup("openai", "gpt-4o"), context=64_000)
    own = ModelFacts(provider="openai", model="house-model", prices=(Rates(input=1, output=2),))
    books = FactBook([mine, own])
    assert books.lookup("openai", "gpt-4o").context == 64_000
    assert books.lookup("openai", "gpt-4o-2031-01-01") is mine  # aliases find it too
    assert books.home("house-model") == "openai"
    assert own in list(books.known())
    assert book().lookup("openai", "gpt-4o").context == 128_000
    assert book().lookup("openai", "house-model") is None


def test_known_is_sorted_and_complete():
    names = [(facts.provider, facts.model) for facts in book().known()]
    assert names == sorted(names)
    assert len(names) == len(set(names)) == len(snapshot().models)


def test_every_row_names_its_source_and_its_date():
    dated = {*snapshot().sources, "runs on your machine"}
    assert all(facts.sources and facts.as_of and dated.issuperset(facts.sources) for facts in snapshot().models)


def test_no_price_is_what_a_float_left_behind():
    odd = [(facts.model, price) for facts, price in PRICES if len(price.as_tuple().digits) > 9 or "E" in str(price)]
    assert odd == []


def test_no_price_is_negative_or_absurd():
    assert [facts.model for facts, price in PRICES if not 0 <= price <= 1_000] == []


def test_nothing_is_free_but_what_is_declared_to_be():
    costly = {(facts.provider, facts.model) for facts, price in PRICES if price}
    free = {(facts.provider, facts.model) for facts, _ in PRICES} - costly
    assert {provider for provider, _ in free} == {"local", "mock", "ollama", "openrouter"}
    assert all(model.endswith(":free") for provider, model in free if provider == "openrouter")


def test_a_chat_model_that_charges_one_way_only_has_no_whole_price():
    assert book().lookup("azure", "model-router").rates().output is None  # the fee of the router, not of the model


def test_price_rows_are_sorted_and_each_threshold_has_a_price_below_it():
    for facts in snapshot().models:
        steps = [(rates.tier, rates.above) for rates in facts.prices]
        assert steps == sorted(set(steps))
        assert all((tier, 0) in steps for tier, _ in steps)


def test_the_snapshot_is_small():
    assert SNAPSHOT.stat().st_size < 300_000


def test_nothing_is_loaded_before_the_first_lookup():
    program = """
import sys
import trunkline.models.cost, trunkline.models.tokens
from trunkline.models.facts import FactBook, book, snapshot
FactBook(), book()
assert snapshot.cache_info().currsize == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_estimate_is_bytes_over_a_familys_ratio():
    assert estimate("") == 0
    assert estimate("a") == 1
    assert estimate("word " * 400) == estimate(b"word " * 400) == estimate(2_000) == 500
    assert estimate(2_000, "anthropic/claude-opus-5") == 667


@pytest.mark.parametrize("field", ['"url": "data:image/png;base64,%s"', '"data": "%s"', '"bytes":"%s"'])
def test_base64_is_never_counted_as_text(field):
    body = '{"text": "What is this?", ' + field % ("iVBORw0KGgo" * 100_000) + "}"
    assert ATTACHMENT < estimate(body) < ATTACHMENT + 30


def test_a_short_field_called_data_is_text():
    assert estimate('{"data": "sales of the year"}') == estimate(29)
