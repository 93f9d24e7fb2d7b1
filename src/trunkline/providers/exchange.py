"""Exchange: one conversation with one target.

Owns writing the request on the wire, sending it, and reading the answer back, whole or as an open stream. A target that
speaks the caller's dialect gets the caller's own words with the row's edits only, and its answer is not decoded but
watched. Knows no rule: who is asked, how often and for how long is decided above; the deadline arrives in the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from zlib import crc32

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.telemetry.log import logger
from trunkline.vocabulary.calls import Answer, Call, Clock, Outcome, Step
from trunkline.vocabulary.errors import (
    APITimeoutError,
    AuthenticationError,
    InvalidRequestError,
    ServiceError,
    TrunklineError,
)
from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Dialect, Receiving, Seen, Sending, StreamingDialect, Transport, Written
from trunkline.vocabulary.replies import AnyReply, EmbeddingReply, Loss, Reply
from trunkline.vocabulary.retelling import events_of
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.secret import Secret
from trunkline.vocabulary.settings import with_defaults
from trunkline.vocabulary.tools import ResponseFormat
from trunkline.vocabulary.usage import Cost, Usage
from trunkline.wire.grammar import structured
from trunkline.wire.grammar.classify import kept_headers, request_id
from trunkline.wire.grammar.emulation import Reading, tools_by_schema
from trunkline.wire.registry import STORING

from .between import Begun
from .catalog import Catalog
from .estimating import estimated, used_so_far
from .flow import Flow, Piece, Reader, Watched, guarded
from .keeping import Keeping
from .made import Made
from .provider import Provider
from .unwrapping import Unwrapping

FactsOf = Callable[[Target, Provider], Facts]
"""What a writer must know of a target: the row's quirks joined with the model's facts."""

PriceOf = Callable[[Target, Usage | None, str | None], Cost | None]
"""What a target charges for a usage at a service tier; None where nobody knows."""


class Spoken(Struct, frozen=True):
    """A call as it goes out: the HTTP request without its key, the dialect it is written in, what could not be said."""

    sending: Sending
    dialect: Dialect
    passes: bool
    """The caller's own words go out, and the answer comes back in the caller's own dialect."""
    reading: Reading | None
    """How the answer to what was emulated is read back."""
    unheld: ResponseFormat | None
    """The form that the caller wants of the answer, where nobody holds the model to it."""
    loss: tuple[Loss, ...]
    signer: str
    """Whose signatures the answer will hold."""
    wrapped: bool
    """Its stream comes in another framing."""


def speak(call: Call, provider: Provider, facts: Facts) -> Spoken:
    """Write a call for its target, all but its key. Pure: `client.render` shows what it gives."""
    words, quirks = call.words, facts.quirks
    dialect = provider.dialect_for(call.operation, words.dialect if words else None, facts.only)
    reading = unheld = None
    passes = False
    adds_a_prompt = quirks.system is not None and call.operation == "chat"  # which is written where messages are read
    edited = adds_a_prompt or call.target.settings is not None
    if words is not None and words.dialect == dialect.name and not edited:
        passes = True
        written = dialect.words_to_wire(words, facts)
    else:
        written, reading, unheld = _told(call, dialect, facts)
    if written.loss and call.rules.on_unsupported == "error":
        raise _unsupported(written.loss, call.target)
    own = dict(words.headers) if words is not None and passes else {}  # headers of the dialect that both speak
    body = {**_moved(own, provider), **written.body, **call.rules.extra_body}
    timeouts, sent = call.timeouts, _encoded(body)
    sending = Sending(
        "POST",
        provider.url(call.target, dialect, stream=call.stream),
        _headers(call, provider, own, sent),
        sent,
        quirks.keep_alive,
        timeouts.connect if timeouts is not None else None,
        call.target.connections,
    )
    wrapped = provider.wraps_streams and call.stream
    return Spoken(sending, dialect, passes, reading, unheld, written.loss, provider.signer, wrapped)


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError) as error:  # what a caller put in, in words that JSON has not
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from None


def _told(call: Call, dialect: Dialect, facts: Facts) -> tuple[Written, Reading | None, ResponseFormat | None]:
    """A request in the target's dialect, how its answer is read back, and the form of it that is only asked for."""
    request: Any = call.request
    if call.operation != "chat":
        return dialect.request_to_wire(request, facts), None, None
    if (usual := call.target.settings) is not None:
        request = replace(request, settings=with_defaults(request.settings, usual))
    if facts.quirks.tools_by_schema and request.tools:
        emulation = tools_by_schema(request, facts)
    else:
        emulation = structured.emulated(request, dialect, facts)
    if emulation is None:
        written, reading = dialect.request_to_wire(request, facts), None
    else:
        written, reading = dialect.request_to_wire(emulation.request, emulation.facts), emulation.reading
        written = replace(written, loss=(*emulation.loss, *written.loss))
    form: ResponseFormat | None = request.response_format
    if form is None or not any(lost.field == "response_format" for lost in written.loss):
        return written, reading, None
    return written, reading or structured.reading_of(form), form  # a dialect, too, may ask for a form in words


def _unsupported(loss: tuple[Loss, ...], target: Target) -> InvalidRequestError:
    return InvalidRequestError(
        f"{target.name} cannot be told: {_lost(loss)}. Leave it out, or say on_unsupported='warn'",
        param=loss[0].field,
        code="unsupported_parameter",
    )


def _lost(loss: tuple[Loss, ...]) -> str:
    return "; ".join(f"{lost.field} ({lost.why})" for lost in loss)


def _moved(headers: dict[str, str], provider: Provider) -> dict[str, Any]:
    """The caller's headers, taken out of them, that the provider has in its body."""
    said = ((key, headers.pop(name, None)) for name, key in provider.headers_in_body.items())
    return {key: [one.strip() for one in value.split(",")] for key, value in said if value}


def _headers(call: Call, provider: Provider, own: Mapping[str, str], body: bytes) -> Mapping[str, str]:
    target = call.target
    headers = {"content-type": "application/json", "user-agent": "trunkline", **provider.headers}
    if target.key is None and provider.needs_key:
        raise _keyless(provider)
    if provider.idempotency_header is not None:  # the same words of one call to one provider are one request
        headers[provider.idempotency_header] = f"{call.id}-{crc32(body):08x}"
    headers.update(own)
    if call.rules.traceparent is not None:
        headers["traceparent"] = call.rules.traceparent
    headers.update(target.headers)
    headers.update(call.rules.extra_headers)
    return headers


def _keyless(provider: Provider) -> AuthenticationError:
    ways = [f"set {provider.key_env}"] if provider.key_env is not None else []
    if provider.credential is not None:
        ways.append("sign in to its cloud on this machine")
    told = ", or ".join([*ways, "give the target an api_key"])
    return AuthenticationError(f"{provider.name} has no key: {told}", status=401, code="missing_api_key")


def masked(spoken: Spoken, call: Call, provider: Provider) -> Sending:
    """The request as it goes out, with a stand-in for its key: a signature is made with that too, and opens nothing."""
    key = call.target.key
    if key is None:
        return spoken.sending
    sending = provider.auth(spoken.sending, key.masked())
    if not isinstance(key, Secret):
        return sending
    headers = {name: key.scrub(value) for name, value in sending.headers.items()}  # somebody may have said it there too
    return replace(sending, url=key.scrub(sending.url), headers=headers)


def exchange(
    catalog: Catalog,
    transports: Mapping[str, Transport],
    facts_of: FactsOf,
    price_of: PriceOf,
    clock: Clock,
) -> Step:
    """The innermost step: ask the call's target and answer with what it says."""

    async def run(call: Call) -> Answer:
        provider = catalog[call.target.provider]
        if call.operation == "tokens" and not provider.offers("tokens"):
            return estimated(call)
        secret: Secret | None = None
        conversation: Conversation | None = None
        try:
            spoken = speak(call, provider, facts_of(call.target, provider))
            if spoken.loss and call.rules.on_unsupported == "warn":
                logger.warning("%s %s cannot be told: %s", call.id, call.target.name, _lost(spoken.loss))
            sending = spoken.sending
            if (key := call.target.key) is not None:
                current = key.current()
                secret = current if isinstance(current, Secret) else await _awaited(current, call, clock)
                sending = provider.auth(sending, secret)
            conversation = Conversation(call, spoken, secret, price_of, clock)
            transport = provider.transport
            carrier = transports[transport] if isinstance(transport, str) else transport
            return await conversation.hold(carrier, sending)
        except TrunklineError as error:
            signed(error, call.target, secret)
            error.sent = error.sent and conversation is not None
            raise

    return run


async def _awaited(current: Awaitable[Secret], call: Call, clock: Clock) -> Secret:
    """A key that is being renewed."""
    try:
        async with clock.deadline(call.deadline):
            return await current
    except TimeoutError as error:
        raise APITimeoutError(f"no key within {call.rules.timeout:g} seconds") from error


def signed(error: TrunklineError, target: Target, secret: Secret | None) -> TrunklineError:
    """The error with its target's name on it, and without the key, should the provider have echoed that."""
    error.provider = error.provider or target.provider
    error.model = error.model or target.model
    if secret is not None:
        error.message = secret.scrub(error.message)
        error.args = (error.message,)
        if error.body is not None:
            error.body = secret.scrub(error.body.decode("latin-1")).encode("latin-1")  # bytes that are no text stay
    return error


def _object_in(body: bytes) -> dict[str, Any]:
    """What a whole answer holds."""
    try:
        wire: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        wire = None
    if not isinstance(wire, dict):
        raise ServiceError("the provider answered something that is no JSON object", status=502, body=body)
    return cast("dict[str, Any]", wire)


class Conversation:
    """A call, what was said, and the answer that is being made of what comes back."""

    __slots__ = ("call", "clock", "price_of", "secret", "spoken")

    def __init__(self, call: Call, spoken: Spoken, secret: Secret | None, price_of: PriceOf, clock: Clock) -> None:
        self.call = call
        self.spoken = spoken
        self.secret = secret
        self.price_of = price_of
        self.clock = clock

    async def hold(self, transport: Transport, sending: Sending) -> Answer:
        """Send, and read what comes back: all of it, or up to the first content of a stream."""
        deadline, timeouts = self.call.deadline, self.call.timeouts
        first = None
        if timeouts is not None and timeouts.first_content is not None:
            first = self.clock.now() + timeouts.first_content
            deadline = first if deadline is None else min(deadline, first)
        try:
            async with self.clock.deadline(deadline):
                receiving = await transport.send(sending)
                if self.spoken.wrapped:
                    receiving = Unwrapping(receiving)
                try:
                    return await self.heard(receiving)
                except BaseException:
                    receiving.release()
                    raise
        except TimeoutError as error:
            if deadline == first and timeouts is not None:
                what = "no content" if self.call.stream else "no answer"
                raise APITimeoutError(
                    f"{what} within {timeouts.first_content:g} seconds", code="first_content_timeout"
                ) from error
            raise APITimeoutError(
                f"no answer within {self.call.rules.timeout:g} seconds", code="total_timeout"
            ) from error

    async def heard(self, receiving: Receiving) -> Answer:
        """Read what comes back."""
        if self.call.stream and receiving.status < 400:
            if receiving.headers.get("content-type", "").startswith("application/json"):
                receiving = await self._as_stream(receiving)
            return await self._open(receiving)
        body = await receiving.read()
        if receiving.status >= 400:
            raise self.spoken.dialect.error_from_wire(receiving.status, receiving.headers, body)
        with guarded:
            return self._whole(receiving, body)

    def _whole(self, receiving: Receiving, body: bytes) -> Answer:
        answer = self._answer(receiving, body=body, whole=self._read)
        seen = self.spoken.dialect.glance(body) if self.spoken.passes else Seen()
        if seen.usage is not None:
            answer.cost = self.price_of(self.call.target, seen.usage, seen.tier)
        else:  # translated, or something that a glance does not understand: an error in a 200, no JSON
            reply = answer.whole()
            made = seen.made or ((reply.id,) if reply.id and self.spoken.dialect.name in STORING else ())
            seen, answer.cost = Seen(reply.usage, reply.finish, reply.service_tier, made), reply.cost
        answer.end(Outcome(kind="finished", usage=seen.usage, finish=seen.finish, tier=seen.tier, made=seen.made))
        return answer

    def _read(self, answer: Answer) -> AnyReply:
        body = answer.body or b""
        reply: AnyReply = self.spoken.dialect.reply_from_wire(_object_in(body))
        if self.spoken.reading is not None:
            reply = self.spoken.reading.reply(cast("Reply", reply))
        if isinstance(reply, EmbeddingReply) and not self.spoken.passes:
            reply.encoding_format = self.call.request.encoding_format
        reply.body = body
        reply.request_id = answer.request_id
        reply.provider, reply.target = answer.target.provider, answer.target.name
        reply.signer = answer.signer
        reply.loss = answer.loss
        reply.cost = self.price_of(self.call.target, reply.usage, reply.service_tier)
        return reply

    async def _as_stream(self, receiving: Receiving) -> Receiving:
        """A whole answer, or an error in one, though a stream was asked for. Some servers only say that it is JSON."""
        begun = await receiving.more() or b""
        if not begun.lstrip().startswith(b"{") or self.spoken.wrapped:
            return Begun(receiving, begun)
        while (more := await receiving.more()) is not None:
            begun += more
        dialect = cast("StreamingDialect", self.spoken.dialect)
        with guarded:
            reply = dialect.reply_from_wire(_object_in(begun))
            told = dialect.encoder(replace(self.call.request, include_usage=True)).encode(events_of(reply))
        return Made(receiving.status, told, receiving.headers)

    async def _open(self, receiving: Receiving) -> Answer:
        dialect, words = cast("StreamingDialect", self.spoken.dialect), self.call.words
        if self.call.keep:
            receiving = Keeping(receiving)
        if self.spoken.passes and words is not None:
            passing = self._flow(dialect.tap(words), receiving)
            await passing.until_content()
            return self._streaming(receiving, passing, chunks=passing.pieces())
        decoder = dialect.decoder()
        if self.spoken.reading is not None:
            decoder = self.spoken.reading.decoder(decoder)
        events = self._flow(Watched(decoder), receiving)
        await events.until_content()
        return self._streaming(receiving, events, events=events.pieces())

    def _flow(self, reader: Reader[Piece], receiving: Receiving) -> Flow[Piece]:
        target, secret = self.call.target, self.secret
        return Flow(
            reader,
            receiving,
            self.clock,
            self.call.deadline,
            self.call.timeouts,
            lambda error: signed(error, target, secret),
        )

    def _streaming(self, receiving: Receiving, flow: Flow[Any], **pieces: Any) -> Answer:
        target = self.call.target
        answer = self._answer(receiving, release=flow.leave, **pieces)
        answer.kept = receiving.kept if isinstance(receiving, Keeping) else None
        answer.first_content = self.clock.now() - self.call.started

        def end(outcome: Outcome) -> None:
            if answer.outcome is not None:
                return
            if outcome.kind != "finished":
                outcome = replace(outcome, usage=used_so_far(self.call, target, outcome.usage, flow.said))
            answer.cost = self.price_of(target, outcome.usage, outcome.tier)
            answer.end(outcome)

        flow.end = end
        return answer

    def _answer(self, receiving: Receiving, **content: Any) -> Answer:
        headers = receiving.headers
        return Answer(
            target=self.call.target,
            dialect=self.spoken.dialect.name,
            signer=self.spoken.signer,
            headers=kept_headers(headers),
            request_id=request_id(headers),
            loss=self.spoken.loss,
            unheld=self.spoken.unheld,
            passes=self.spoken.passes,
            **content,
        )
