"""Agents: `ReactAgent`, which thinks, acts and observes with the providers of a manager."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from trunkline.agent import Agent, OutOfSteps, Step

from .faults import LLMError, in_our_words
from .manager import LLMManager

MAX_REASONING_STEPS = 20


class StepLimitError(LLMError, OutOfSteps):
    """An agent had no answer after `max_reasoning_steps`; `partial` holds its steps."""


class ReactAgent(Agent):
    """An agent over a manager. It asks the manager's failover sequence, else its default, until it is told another
    name. Overwrite `solve` for handling of your own: errors come out of it."""

    def __init__(
        self,
        name: str,
        llm_manager: LLMManager,
        tools: Iterable[Any] = (),
        max_reasoning_steps: int = MAX_REASONING_STEPS,
        **options: Any,
    ) -> None:
        """`tools` are functions. `options` are those of `trunkline.agent.Agent`: `instructions`, `over`, and what each
        call says."""
        with in_our_words():
            super().__init__(llm_manager, tools=tools, steps=max_reasoning_steps, **options)
        self.name = name
        self.llm_manager = llm_manager

    def __repr__(self) -> str:
        return f"ReactAgent(name={self.name!r}, llm_manager={self.llm_manager!r})"

    def set_llm_provider(self, name: str) -> None:
        """Whom it asks from now on. Raises LLMError where nobody has that name, and goes on with the one it had."""
        self.model = self.llm_manager.named(name)

    async def stream(self, problem: Any) -> AsyncGenerator[Step]:
        """The steps to an answer, each as it is made. Raises LLMError."""
        try:
            with in_our_words():
                async for step in super().stream(problem):
                    yield step
        except OutOfSteps as error:
            told = StepLimitError(str(error).replace("steps=", "max_reasoning_steps="))
            told.partial = error.partial
            raise told from error


async def create_react_agent(
    name: str,
    llm_provider: str,
    llm_config: Mapping[str, Any] | None = None,
    tools: Iterable[Any] = (),
    llm_manager: LLMManager | None = None,
    **settings: Any,
) -> ReactAgent:
    """An agent with a provider: one that a manager has, or a new one of that kind with this configuration. `settings`
    are those of ReactAgent. Raises LLMError."""
    manager = llm_manager or LLMManager()
    if llm_config is not None or llm_provider not in manager.get_available_providers():
        manager.add_provider(llm_provider, llm_provider, llm_config)
    agent = ReactAgent(name, manager, tools, **settings)
    agent.set_llm_provider(llm_provider)
    return agent
