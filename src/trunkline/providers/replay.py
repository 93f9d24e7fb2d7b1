"""Replay: a call answered with the bytes of an earlier answer.

Owns how what was stored in one form is told in another: a stream as a whole, a whole answer as a stream. From there on
it is read as if it had just come, by the same code, in whatever dialect the caller speaks. It costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trunkline.vocabulary.calls import Answer, Call, Clock
from trunkline.vocabulary.protocols import Dialect, StreamingDialect
from trunkline.vocabulary.replies import Accumulator
from trunkline.vocabulary.retelling import events_of
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.stored import Stored

from .catalog import Catalog
from .exchange import Conversation, FactsOf, Spoken, speak
from .keeping import Kept
from .provider import Provider

NOTHING = Decimal(0)


def replay(
    catalog: Catalog, facts_of: FactsOf, target_of: Callable[[str], Target], clock: Clock
) -> Callable[[Call, Stored], Awaitable[Answer | None]]:
    """Answers calls with what is stored; None where the present catalog has no such answer."""

    async def run(call: Call, stored: Stored) -> Answer | None:
        target = target_of(stored.target)
        provider = catalog[target.provider]
        dialect = next((spoken for spoken in provider.speaks if spoken.name == stored.dialect), None)
        if dialect is None:
            return None
        call.target = target
        spoken = _spoken(call, provider, dialect, facts_of)
        if spoken is None:
            return None
        body = stored.body if stored.streamed == call.stream else _retold(call, dialect, stored)
        return await Conversation(call, spoken, None, _for_nothing, clock).heard(Kept(body))

    return run


def _spoken(call: Call, provider: Provider, dialect: Dialect, facts_of: FactsOf) -> Spoken | None:
    """How the stored answer is to be read: None where it was asked for in another form than it would be now."""
    passes = call.words is not None and call.words.dialect == dialect.name
    spoken = speak(call, provider, facts_of(call.target, provider))
    if spoken.dialect.name == dialect.name:
        return replace(spoken, wrapped=False)
    request: Any = call.request
    if call.operation == "chat" and (request.tools or request.response_format is not None):
        return None  # either of them may have been emulated
    return replace(spoken, dialect=dialect, passes=passes, reading=None, unheld=None, wrapped=False)


def _retold(call: Call, dialect: Dialect, stored: Stored) -> bytes:
    """A stored stream as a whole body, or a whole body as a stream."""
    streaming = cast("StreamingDialect", dialect)
    if not stored.streamed:
        reply = dialect.reply_from_wire(msgspec.json.decode(stored.body))
        return streaming.encoder(replace(call.request, include_usage=True)).encode(events_of(reply))
    decoder, gathered = streaming.decoder(), Accumulator()
    gathered.add(decoder.feed(stored.body))
    gathered.add(decoder.close())
    return msgspec.json.encode(dialect.reply_to_wire(gathered.reply()))


def _for_nothing(target: Target, usage: Any, tier: str | None) -> Decimal:
    return NOTHING
