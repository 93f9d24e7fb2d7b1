"""Compose: the path of a call, as one visible list, and the engine that library and gateway hand their calls to.

"Is a retried call one record or two?" is answered by the order of the lines in `compose`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from trunkline.policies.attempts import attempts
from trunkline.policies.observe import observe
from trunkline.policies.repair import repair
from trunkline.providers.exchange import exchange
from trunkline.runtime import Runtime
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.calls import Call, Policy, Rules, Step
from trunkline.vocabulary.requests import AnyRequest, Operation, Words


def compose(snapshot: Snapshot, runtime: Runtime) -> Step:
    """The engine's steps, outermost first."""
    return stack(
        observe(runtime.sinks, runtime.clock),  # one record per call, whatever happens
        repair,  # an answer that has not the form it should have is asked for once more
        attempts(snapshot.targets_of, runtime.clock),  # the one loop: retry and fallback
        step=exchange(snapshot.catalog, runtime.transports, snapshot.facts, snapshot.price, runtime.clock),
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
        return Call(
            operation=operation,
            model=model,
            target=self.snapshot.target(model, operation),
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
