"""Facts about models: abilities, limits and prices, each with its source and date.

Owns how facts are stored, found by name and overridden. Does not know how a price becomes a cost (`cost.py`) or where
the facts come from: `scripts/models.py` writes the snapshot, nothing here fetches. It is read at the first lookup.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from pathlib import Path

import msgspec
from msgspec import Struct

from trunkline.vocabulary.usage import BUCKETS

from .names import LABS, family, spellings

STANDARD = "standard"
"""The service tier of a call that asked for none."""

UNPRICED_AS = {
    "cache_read": "input",  # a provider that sells no cheaper cache bills every prompt token alike
    "cache_write": "input",  # OpenAI before gpt-5.6, Gemini, DeepSeek: writing to the cache is not charged apart
    "reasoning": "output",  # thinking is generated text; only a few models price it on its own
}
"""The price that stands in where a bucket has none. Buckets not listed stand for themselves: audio costs several times
what text does, an hour in the cache twice the input, so without a price their cost is unknown."""


class Rates(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """What a million tokens of each bucket of `Usage` cost, in US dollars. None: the source names no price.

    A model has one row for its standard price, one more for each length of prompt that changes it, and the same again
    for each service tier it is sold at.
    """

    tier: str = STANDARD
    """The service tier these prices belong to: `standard`, `batch`, `flex`, `priority` …"""
    above: int = 0
    """They hold for prompts of more tokens than this, cached tokens included; then for all tokens of the call."""
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    output_audio: Decimal | None = None

    @cached_property
    def charged(self) -> tuple[Decimal | None, ...]:
        """What a million tokens of each bucket are charged, in the order of `BUCKETS`: its own price, else the one that
        stands in for it, else None."""
        return tuple(self._charged(bucket) for bucket in BUCKETS)

    def _charged(self, bucket: str) -> Decimal | None:
        rate: Decimal | None = getattr(self, bucket)
        return getattr(self, UNPRICED_AS[bucket]) if rate is None and bucket in UNPRICED_AS else rate


class ModelFacts(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """What is known of one model at one provider. An ability is True, False, or None where no source says."""

    provider: str
    model: str
    """The name the provider's API takes. `*` stands for every model of a provider that runs on the user's machine."""
    mode: str = "chat"
    """`chat`, `responses` (a chat model that only the Responses API serves), `completion` or `embedding`."""

    context: int | None = None
    """Tokens a prompt may have; where a provider names only one window for prompt and answer, that window."""
    max_output: int | None = None
    """Tokens an answer may have."""
    dimension: int | None = None
    """Length of an embedding model's vectors."""

    tools: bool | None = None
    parallel_tools: bool | None = None
    vision: bool | None = None
    audio_input: bool | None = None
    pdf: bool | None = None
    structured_output: bool | None = None
    """The model can be held to a JSON schema."""
    reasoning: bool | None = None
    prompt_cache: bool | None = None
    system: bool | None = None
    """The model takes system messages."""
    temperature: bool | None = None
    """False: the model rejects sampling settings (temperature, top_p), as OpenAI's reasoning models do."""

    prices: tuple[Rates, ...] = ()
    """In any order; empty when no source names a price."""

    released: date | None = None
    deprecated: date | None = None
    """The day the provider withdraws the model."""

    sources: tuple[str, ...] = ()
    """Where the facts come from; the first one gave the prices, if there are any."""
    as_of: date | None = None
    """The day the first source was published."""
    page: str | None = None
    """The provider's own page that the source cites."""

    def rates(self, prompt_tokens: int = 0, tier: str = STANDARD) -> Rates | None:
        """The prices of a call with a prompt of that length at that tier, or None if nobody names them."""
        for row in self._by_tier.get(tier, ()):
            if row.above == 0 or prompt_tokens > row.above:
                return row
        return None

    @cached_property
    def _by_tier(self) -> dict[str, list[Rates]]:
        """The prices of each tier, those of long prompts first."""
        rows = sorted(self.prices, key=lambda row: -row.above)
        return {tier: [row for row in rows if row.tier == tier] for tier in {row.tier for row in rows}}


class Snapshot(Struct, frozen=True):
    """The shape of the data file: which sources it was made from, and its facts sorted by provider and model."""

    sources: dict[str, date]
    models: tuple[ModelFacts, ...]


@cache
def snapshot() -> Snapshot:
    """The facts that ship with this version. Read and decoded once (about 10 ms), at the first call."""
    packed = Path(__file__).with_name("snapshot.json.gz").read_bytes()
    return msgspec.json.decode(zlib.decompress(packed, wbits=GZIP), type=Snapshot)


GZIP = zlib.MAX_WBITS | 16  # tells zlib to expect gzip's header; the gzip module costs an import more


class FactBook:
    """Facts by provider and model: the snapshot, under what the user knows better.

    Immutable. An override replaces the whole row of the same provider and model; to change one fact, build it from the
    row that is there: `msgspec.structs.replace(book().lookup("openai", "gpt-4o"), context=64_000)`.
    """

    def __init__(self, overrides: Iterable[ModelFacts] = ()) -> None:
        self._overrides = {(facts.provider, facts.model): facts for facts in overrides}
        self._search = lru_cache(maxsize=4096)(self._search_aliases)  # bounded: names may come from strangers

    def lookup(self, provider: str, model: str) -> ModelFacts | None:
        """The facts of a model at a provider, or None. Its own row first, then those of its aliases (`names.py`).

        The row of an alias is returned as it is: an Azure deployment's facts may say `openai`.
        """
        return self._rows.get((provider, model)) or self._search(provider, model)

    def home(self, model: str) -> str | None:
        """The provider a bare model name belongs to, or None when that is unknown or anyone's guess.

        The lab that made it wins over resellers; a name that only one reseller lists belongs to that one; a name too
        new for the snapshot belongs to its family's lab.
        """
        sellers = self._sellers.get(model, [])
        labs = [provider for provider in sellers if provider in LABS]
        for owners in (labs, sellers):
            if len(owners) == 1:
                return owners[0]
        return None if sellers else family(model)

    def known(self) -> Iterator[ModelFacts]:
        """All rows, sorted by provider and model."""
        return (self._rows[name] for name in sorted(self._rows))

    def _search_aliases(self, provider: str, model: str) -> ModelFacts | None:
        return next((self._rows[name] for name in spellings(provider, model) if name in self._rows), None)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], ModelFacts]:
        return shipped() | self._overrides if self._overrides else shipped()

    @cached_property
    def _sellers(self) -> dict[str, list[str]]:
        sellers: defaultdict[str, list[str]] = defaultdict(list)
        for provider, model in self._rows:
            sellers[model].append(provider)
        return sellers


@cache
def shipped() -> dict[tuple[str, str], ModelFacts]:
    """The rows of the snapshot by provider and model; shared by all books, so not to be changed."""
    return {(facts.provider, facts.model): facts for facts in snapshot().models}


@cache
def book() -> FactBook:
    """The facts that ship with this version, without overrides."""
    return FactBook()
