"""Makers: what the models of one maker take beyond Converse's own settings, in `additionalModelRequestFields`.

Who made a model reaches a writer as `Facts.maker`, for the ids of most models tell; that of an application's own
inference profile does not. A key that a model does not know is refused ("extraneous key is not permitted"), so whoever
is not listed here gets none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from trunkline.vocabulary.facts import Facts
from trunkline.vocabulary.protocols import Json
from trunkline.vocabulary.replies import Loss
from trunkline.vocabulary.tools import Reasoning

LEAST_BUDGET = 1024
"""The fewest tokens of thinking that can be given (docs.aws.amazon.com/…/claude-messages-extended-thinking.html)."""

LEAST_KNOWN = 4096
"""Tokens of an answer for a model of which nothing is known."""

BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_000,
    "max": 32_000,
}
"""Tokens of thinking for an effort in words, where the model wants a number."""


class Thought(Struct):
    """A request as far as thinking changes it."""

    reasoning: Reasoning
    facts: Facts
    inference: Json
    """`inferenceConfig`: thinking needs room in it."""
    forced: bool
    """The model is told which tool to call."""
    losses: list[Loss]
    additional: Json
    effort: str | None = None
    """`outputConfig.effort`."""

    def lose(self, why: str, where: str = "reasoning") -> None:
        """List what cannot be said to this model."""
        self.losses.append(Loss(where, why, "target"))

    def drop(self, key: str, where: str, why: str, *unless: object) -> None:
        """Leave a setting out; that is no loss where it said `unless`."""
        if self.inference.pop(key, None) not in (None, *unless):
            self.lose(why, where)

    @property
    def off(self) -> bool:
        """No thinking is asked for."""
        return self.reasoning.off or self.reasoning.effort == "none"


class Maker(Struct, frozen=True):
    """What the models of one maker take."""

    cache: bool = False
    """Cache points."""
    top_k: tuple[str, ...] = ()
    """Where `top_k` stands."""
    think: Callable[[Thought], None] | None = None


def _think_in_tokens(said: Thought) -> None:
    """Claude's thinking: a budget below `maxTokens`, or, with newer models, as much as they see fit."""
    if said.facts.adaptive_thinking:
        return _think_at_will(said)
    if said.off:
        if said.facts.reasoning:
            said.additional["thinking"] = {"type": "disabled"}
        return None
    if said.forced:
        return said.lose("the model does not think when it is told which tool to call")
    reasoning, most = said.reasoning, said.inference.get("maxTokens")
    budget = reasoning.budget or BUDGETS.get(reasoning.effort or "medium", BUDGETS["medium"])
    if most is not None and reasoning.budget is None:
        budget = min(budget, most // 2)
    budget = max(LEAST_BUDGET, budget)
    room = most or said.facts.max_output or budget + LEAST_KNOWN
    if budget >= room:
        room = budget + (most or LEAST_KNOWN)
    if said.facts.max_output is not None and room > said.facts.max_output:
        room = said.facts.max_output
        budget = min(budget, max(LEAST_BUDGET, room // 2))
    if budget >= room:
        return said.lose(f"there is no room for {budget} tokens of thinking")
    if most is None or room != most:
        said.inference["maxTokens"] = room
    if most is not None and room != most:
        said.losses.append(Loss("max_tokens", f"{room} instead of {most}: it counts thinking too", "target"))
    if reasoning.budget is not None and budget != reasoning.budget:
        told = f"{budget} instead of {reasoning.budget}: the model takes no other"
        said.losses.append(Loss("reasoning.budget", told, "range"))
    said.additional["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return _undisturbed(said)


def _undisturbed(said: Thought) -> None:
    why = "the model does not take it together with thinking"
    said.drop("temperature", "temperature", why, 1)
    if said.inference.get("topP", 1) < 0.95:
        said.drop("topP", "top_p", why)
    if said.additional.pop("top_k", None) is not None:
        said.lose(why, "top_k")


def _think_at_will(said: Thought) -> None:
    if said.off:
        said.lose("the model decides whether to think: it is asked for its least effort")
        said.effort = "low"
        return
    effort = said.reasoning.effort
    if said.reasoning.budget is not None:
        said.lose("the model takes an effort, not a number of tokens", "reasoning.budget")
        effort = effort or _effort_of(said.reasoning.budget)
    said.effort = {"minimal": "low"}.get(effort or "", effort)
    if said.forced:
        said.lose("the model does not think when it is told which tool to call")
        said.effort = "high" if said.effort in {"xhigh", "max"} else said.effort  # the most without thinking
        return
    said.additional["thinking"] = {"type": "adaptive"}
    _undisturbed(said)


def _effort_of(budget: int) -> str:
    """The effort whose budget comes nearest."""
    return next((word for word, most in (("low", 4096), ("medium", 16_384)) if budget <= most), "high")


def _think_in_words(said: Thought) -> None:
    """Nova's thinking (docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html): three efforts, and with
    the highest no other setting."""
    if said.off:
        return
    if not said.facts.reasoning:
        said.lose("it is not known that the model thinks")
        return
    effort = said.reasoning.effort or _effort_of(said.reasoning.budget or BUDGETS["medium"])
    word = {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
    if word == "high" and "maxTokens" in said.inference:
        said.lose("its highest effort cannot be asked for together with max_tokens: it is asked for a medium one")
        word = "medium"
    if word == "high":
        for key, where in (("temperature", "temperature"), ("topP", "top_p")):
            said.drop(key, where, "the model does not take it together with its highest effort")
    said.additional["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": word}


_OTHER = Maker()

MAKERS: Mapping[str, Maker] = {
    "anthropic": Maker(cache=True, top_k=("top_k",), think=_think_in_tokens),
    "amazon": Maker(cache=True, top_k=("inferenceConfig", "topK"), think=_think_in_words),
    **dict.fromkeys(
        (
            "ai21", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot", "moonshotai", "nvidia",
            "openai", "qwen", "stability", "writer", "xai", "zai",
        ),
        _OTHER,
    ),
}  # fmt: skip
"""The makers by the word in their models' ids. Those that are only named take what Converse itself has."""
