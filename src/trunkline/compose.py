"""Compose: the path of a call, as one visible list, and the engine that library and gateway hand their calls to.

"Is a retried call one record or two?" is answered by the order of the lines in `compose`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from trunkline.policies.attempts import attempts
from trunkline.policies.means import Means
from trunkline.policies.observe import observe
from trunkline.policies.repair import repair
from trunkline.providers.exchange import exchange
from trunkline.runtime import Runtime
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.calls import Call, Policy, Step
from trunkline.vocabulary.requests import AnyRequest, Operation, Words
from trunkline.vocabulary.rules import Rules


def compose(snapshot: Snapshot, runtime: Runtime) -> Step:
    """The engine's steps, outermost first."""
    return stack(
        observe(runtime.sinks, runtime.clock),  # one record per call, whatever happens
        repair,  # an answer that has not the form it should have is asked for once more
        attempts(means(snapshot, runtime)),  # the one loop: route, limits, retry, fallback, hedge
        step=exchange(snapshot.catalog, runtime.transports, snapshot.facts, snapshot.price, runtime.clock),
    )


def means(snapshot: Snapshot, runtime: Runtime) -> Means:
    """What the attempt loop works with."""
    return Means(
        route_of=lambda call: call.route or snapshot.route(call.model, call.operation, call.rules.fallbacks),
        buckets_of=snapshot.buckets_of,
        price=snapshot.price,
        priced=snapshot.priced,
        max_output=snapshot.max_output,
        state=runtime.state,
        board=runtime.board,
        lines=runtime.lines,
        clock=runtime.clock,
        unpriced=snapshot.config.unpriced == "allow",
        queue_length=snapshot.config.queue.length,
        queue_seconds=snapshot.config.queue.seconds,
    )


def stack(*policies: Policy, step: Step) -> Step:
    """Wrap `step` in the policies, the first one outermost."""
    for policy in reversed(policies):
        step = policy(step)
    return step


class Engine:
    """A snapshot and a runtime, composed. `step` answers the calls that `call` makes."""

    def __init__(self, snapshot: Snapshot, runtime: Runtime) -> None:
        self.snapshot = snapshot
        self.runtime = runtime
        self.step = compose(snapshot, runtime)

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
        rules = merged(self.snapshot.rules, rules)
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


NO_RULES = Rules()


def merged(under: Rules, over: Rules) -> Rules:
    """Both sets of rules; what `over` says wins."""
    if over is NO_RULES:
        return under
    said = {name: value for name in _RULES if (value := getattr(over, name)) != getattr(NO_RULES, name)}
    return replace(under, **said)


_RULES = Rules.__struct_fields__
