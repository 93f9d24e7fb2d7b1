"""Compose: the path of a call, as one visible list, and the engine that library and gateway hand their calls to.

"Is a retried call one record or two?" is answered by the order of the lines in `compose`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from trunkline.policies.attempts import attempts
from trunkline.policies.cache import Shelf, cache, key_of
from trunkline.policies.choice import explain
from trunkline.policies.means import Means
from trunkline.policies.observe import observe
from trunkline.policies.repair import repair
from trunkline.policies.similar import Embed, Similar, normal
from trunkline.providers.exchange import exchange
from trunkline.providers.replay import replay
from trunkline.runtime import Runtime
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.calls import Call, Policy, Step
from trunkline.vocabulary.decisions import Decision
from trunkline.vocabulary.requests import AnyRequest, EmbeddingRequest, Operation, Words
from trunkline.vocabulary.rules import Rules


def compose(snapshot: Snapshot, runtime: Runtime, means: Means, shelf: Shelf) -> Step:
    """The engine's steps, outermost first."""
    return stack(
        observe(runtime.sinks, runtime.clock, snapshot.payers.owner),  # one record per call, whatever happens
        cache(shelf),  # a hit asks nobody and spends nothing
        repair,  # an answer that has not the form it should have is asked for once more
        attempts(means),  # the one loop: route, limits, retry, fallback, hedge
        step=exchange(snapshot.catalog, runtime.transports, snapshot.facts, snapshot.price, runtime.clock),
    )


def means(snapshot: Snapshot, runtime: Runtime) -> Means:
    """What the attempt loop works with."""
    return Means(
        route_of=lambda call: call.route or snapshot.route(call.model, call.operation, call.rules.fallbacks),
        buckets_of=snapshot.buckets_of,
        price=snapshot.price,
        tariff=snapshot.tariff,
        priced=snapshot.priced,
        state=runtime.state,
        board=runtime.board,
        lines=runtime.lines,
        clock=runtime.clock,
        unpriced=snapshot.config.unpriced == "allow",
        queue_length=snapshot.config.queue.length,
        queue_seconds=snapshot.config.queue.seconds,
    )


def shelf(snapshot: Snapshot, runtime: Runtime, embed: Embed) -> Shelf:
    """How answers are kept and told again. `embed` makes vectors of questions, where nearly the same ones are looked
    for."""
    config = snapshot.config.cache

    def scope_of(call: Call) -> str:
        payer = call.rules.payer
        return {"payer": payer, "owner": snapshot.payers.owner(payer), "everyone": None}[config.scope] or ""

    similar = None
    if config.similar is not None:
        similar = Similar(
            embed, lambda call: key_of(call, scope_of(call)), runtime.clock, config.similar, config.seconds
        )
    return Shelf(
        store=runtime.store,
        clock=runtime.clock,
        replay=replay(snapshot.catalog, snapshot.facts, snapshot.target, runtime.clock),
        scope_of=scope_of,
        seconds=config.seconds,
        always=config.always,
        similar=similar,
    )


def stack(*policies: Policy, step: Step) -> Step:
    """Wrap `step` in the policies, the first one outermost."""
    for policy in reversed(policies):
        step = policy(step)
    return step


class Engine:
    """A snapshot and a runtime, composed. `step` answers the calls that `call` makes; `explain` says how it would."""

    def __init__(self, snapshot: Snapshot, runtime: Runtime) -> None:
        self.snapshot = snapshot
        self.runtime = runtime
        self._means = means(snapshot, runtime)
        self._merged = NO_RULES, snapshot.rules
        """The last rules that a call came with, and what they are with the configuration's."""
        self.step = compose(snapshot, runtime, self._means, shelf(snapshot, runtime, self._embed))

    def explain(self, call: Call) -> Decision:
        """How a call would find its target now. Asks nobody and takes nothing."""
        return explain(call, self._means)

    def call(
        self,
        operation: Operation,
        model: str,
        rules: Rules,
        *,
        stream: bool = False,
        request: AnyRequest | None = None,
        words: Words | None = None,
        read: Callable[[Words], Any] | None = None,
    ) -> Call:
        """A call whose clock has started. What `rules` leave open, the configuration says."""
        now = self.runtime.clock.now()
        said, whole = self._merged
        if said is not rules:  # a client says the same for most of its calls
            whole = merged(self.snapshot.rules, rules)
            self._merged = rules, whole
        rules = whole
        route = self.snapshot.route(model, operation, rules.fallbacks)
        return Call(
            operation=operation,
            model=model,
            route=route,
            target=route.entries[0].members[0].target,
            at=self.runtime.clock.wall(),
            rules=rules,
            stream=stream,
            request=request,
            words=words,
            read=read,
            started=now,
            deadline=None if rules.timeout is None else now + rules.timeout,
        )

    async def _embed(self, question: str, payer: str | None) -> list[float]:
        """A question as a vector, from the default embedding model: the local one where nobody says another. A call of
        its own, which the asking one's payer pays."""
        model = self.snapshot.embedding_model
        request = EmbeddingRequest(model=model, input=(question,))
        call = self.call("embeddings", model, Rules(payer=payer), request=request)
        return normal((await self.step(call)).whole().vectors[0])


NO_RULES = Rules()


def merged(under: Rules, over: Rules) -> Rules:
    """Both sets of rules; what `over` says wins."""
    if over is NO_RULES:
        return under
    if under is NO_RULES:
        return over
    values = zip(_RULES, _said(over), _UNSAID, strict=True)
    return replace(under, **{name: value for name, value, unsaid in values if value is not unsaid and value != unsaid})


_RULES = Rules.__struct_fields__
_said: Callable[[Rules], tuple[Any, ...]] = attrgetter(*_RULES)
_UNSAID = _said(NO_RULES)
