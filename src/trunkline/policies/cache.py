"""Cache: a call that was answered before is answered again, for nothing.

Owns when that is allowed, what makes two calls the same, and that of several same calls at a time only one is made.
What is kept are a provider's own bytes; reading them again is the exchange's business, and where they lie the store's.
Failures, answers that were cut off and answers that are not what was asked for are never kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.vocabulary.calls import Answer, Call, Clock, Outcome, Policy, Step
from trunkline.vocabulary.errors import TrunklineError
from trunkline.vocabulary.messages import Message
from trunkline.vocabulary.parts import AnyPart, ToolResult
from trunkline.vocabulary.requests import Request
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.secret import Secret
from trunkline.vocabulary.stored import Store, Stored
from trunkline.vocabulary.tools import ResponseFormat
from trunkline.wire.grammar.structured import complaint

from .complexity import TAG
from .similar import Near

FindNear = Callable[[Call, str], Awaitable[Near | None]]
"""The questions that are near a call's, which itself lies under the key."""


class Shelf(Struct, frozen=True, kw_only=True):
    """How answers are kept."""

    store: Store
    clock: Clock
    replay: Callable[[Call, Stored], Awaitable[Answer | None]]
    """Answers a call with what is stored; None where that is not possible any more."""
    scope_of: Callable[[Call], str]
    """Whose answers a call may share."""
    seconds: float
    always: bool
    """Calls that do not say are cached too."""
    similar: FindNear | None = None


Flights = dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[None]]
"""Calls that are being made, by loop and key."""


def cache(shelf: Shelf) -> Policy:
    """Answer from the shelf, or put the answer there."""

    def policy(step: Step) -> Step:
        flights: Flights = {}

        def run(call: Call) -> Awaitable[Answer]:
            wanted = shelf.always if call.rules.cache is None else call.rules.cache
            return looked_for(call) if wanted and call.operation != "tokens" else step(call)

        async def looked_for(call: Call) -> Answer:
            key = key_of(call, shelf.scope_of(call))
            place = (asyncio.get_running_loop(), key)
            while True:
                if (answer := await _told(call, key, shelf)) is not None:
                    return answer
                flight = flights.get(place)
                if flight is None or not await _landed(flight, call, shelf.clock):
                    break
            return await _flown(call, key, shelf, step, flights, place)

        return run

    return policy


async def _landed(flight: asyncio.Future[None], call: Call, clock: Clock) -> bool:
    """The same call is under way: its answer will do, or its error. False: half of this call's own time has passed, so
    that it asks for itself, for the other's caller may read a stream slowly."""
    now = clock.now()
    try:
        async with clock.deadline(None if call.deadline is None else now + (call.deadline - now) / 2):
            await asyncio.shield(flight)
    except TimeoutError:
        return False
    return True


async def _flown(
    call: Call, key: str, shelf: Shelf, step: Step, flights: Flights, place: tuple[asyncio.AbstractEventLoop, str]
) -> Answer:
    """Make the call, and let those who want the same know how it ended. One that is cancelled just lands: the next of
    those who wait takes off."""
    flight = flights[place] = place[0].create_future()
    flight.add_done_callback(_seen)

    def land(error: TrunklineError | None = None) -> None:
        if flights.get(place) is flight:
            del flights[place]
        if not flight.done():
            flight.set_result(None) if error is None else flight.set_exception(error)

    call.keep = True
    try:
        near = await shelf.similar(call, key) if shelf.similar is not None else None
        for other in near.keys if near is not None else ():
            if (answer := await _told(call, other, shelf)) is not None:
                land()
                return answer
        answer = await step(call)
    except TrunklineError as error:
        land(error)
        raise
    except BaseException:
        land()
        raise

    def ended(answer: Answer, outcome: Outcome) -> None:
        if outcome.kind == "finished" and (stored := _stored(call, answer)) is not None:
            shelf.store.put(key, msgspec.msgpack.encode(stored), shelf.seconds)
            if near is not None:
                near.remember()
        with contextlib.suppress(RuntimeError):  # its loop has ended, and nobody waits there
            place[0].call_soon_threadsafe(land)

    answer.on_end(ended)
    return answer


async def _told(call: Call, key: str, shelf: Shelf) -> Answer | None:
    """The answer that is stored under a key, told to this call."""
    packed = await shelf.store.get(key)
    if packed is None:
        return None
    try:
        answer = await shelf.replay(call, msgspec.msgpack.decode(packed, type=Stored))
    except (msgspec.MsgspecError, TrunklineError):  # another version's, or a target that is gone: as good as none
        return None
    if answer is not None:
        call.decided.cached = True
    return answer


def _stored(call: Call, answer: Answer) -> Stored | None:
    request: Any = call.request
    form = request.response_format if isinstance(request, Request) else None
    if form is not None and not _fits(answer, form):
        return None
    body = answer.body if answer.kept is None else b"".join(answer.kept)
    if body is None:
        return None
    return Stored(answer.target.name, answer.dialect, answer.streams, body)


def _fits(answer: Answer, form: ResponseFormat) -> bool:
    """Whether it is known to have the form that was asked for: nobody has looked at a whole stream."""
    return not answer.streams and complaint(answer.whole(), form) is None


def _seen(flight: asyncio.Future[None]) -> None:
    """Its error is the caller's own: nobody else has to look at it."""
    if not flight.cancelled():
        flight.exception()


def key_of(call: Call, scope: str) -> str:
    """What makes two calls the same: who shares, what stands behind the name, and everything that is asked, however
    it was written. Whether it streams makes no difference."""
    request: Any = call.request
    if isinstance(request, Request):
        request = _neutral(request)
    rules = call.rules
    said = [scope, call.operation, _identity(call), request, rules.extra_body, rules.extra_headers]
    return sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def _neutral(request: Request) -> Request:
    """The request without what says only how it was written: marks of its reader (`~name`: True), and the dialect of
    which it has nothing of its own."""
    extra = {name: value for name, value in request.extra.items() if not (name.startswith("~") and value is True)}
    return replace(
        request,
        model="",
        messages=tuple(map(_plain, request.messages)),
        stream=False,
        include_usage=False,
        extra=extra,
        dialect=request.dialect if extra else None,
    )


def _plain(message: Message) -> Message:
    """A message without anything that only its dialect has is the same in every one."""
    if message.extra or any(map(_has_own, message.parts)):
        return message
    return replace(message, dialect=None)


def _has_own(part: AnyPart) -> bool:
    return bool(part.extra) or (isinstance(part, ToolResult) and any(map(_has_own, part.parts)))


def _identity(call: Call) -> list[Any]:
    """A route that leads elsewhere is another one, whatever it is called; so is one for other tags, where they decide
    who is asked."""
    if call.route is None:
        return []
    targets = [member.target for entry in call.route.entries for member in entry.members]
    decisive = {tag for target in targets for tag in target.tags}
    tags = sorted(tag for tag in call.rules.tags if tag in decisive or tag.startswith(TAG))
    return [tags, [_place(target) for target in targets]]


def _place(target: Target) -> list[Any]:
    """Where a target's answers come from: another key may be another customer. Only a digest of it is kept."""
    key = target.key.reveal() if isinstance(target.key, Secret) else None
    return [target.name, target.provider, target.model, target.base_url, target.settings, key]
