"""Records of calls that never were."""

import itertools
from decimal import Decimal

from trunkline.vocabulary.calls import Attempt, Record, new_id
from trunkline.vocabulary.usage import Usage

NOON = 1_750_075_200.0
"""Monday, 16 June 2025, 12:00 UTC."""

_numbers = itertools.count()


def attempt(target="openai/gpt-4o", *, cost="0.001", usage=None, outcome="finished", **more):
    """One attempt that was answered, for a tenth of a cent."""
    usage = Usage(input=10, output=5) if usage is None and outcome == "finished" else usage
    return Attempt(
        id="",
        target=target,
        provider=target.partition("/")[0],
        started=NOON,
        outcome=outcome,
        usage=usage,
        cost=None if cost is None else Decimal(cost),
        **more,
    )


def record(*attempts, at=NOON, **more):
    """A call of these attempts; without any it has one that was answered."""
    attempts = [*attempts] or [attempt()]
    said = {
        "id": f"{new_id(at)}{next(_numbers)}",
        "operation": "chat",
        "model": "smart",
        "target": attempts[-1].target,
        "provider": attempts[-1].provider,
        "stream": False,
        "seconds": 0.5,
        "outcome": attempts[-1].outcome or "finished",
        "usage": attempts[-1].usage,
        "cost": attempts[-1].cost,
        "payer": "alice",
        "owner": "research",
        "route": "smart",
    }
    return Record(at=at, attempts=attempts, **{**said, **more})
