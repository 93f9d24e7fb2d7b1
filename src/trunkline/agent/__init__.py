"""Agent: a model that thinks, acts and observes until it has an answer.

Owns the loop over a client (`loop`), what is said where a model has no tools (`text`), and the functions that a model
may have run (`tools`). Knows no provider: a client is whatever answers to `Asks`.
"""

from .loop import Act, Agent, Asks, Final, Observation, OutOfSteps, Step, Thought
from .tools import LONGEST, Runnable

__all__ = [
    "LONGEST",
    "Act",
    "Agent",
    "Asks",
    "Final",
    "Observation",
    "OutOfSteps",
    "Runnable",
    "Step",
    "Thought",
]
