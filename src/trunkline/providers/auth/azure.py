"""Microsoft Entra ID (Azure AD): a function of the user's that gives a token.

Owns when it is called and what its mistakes become. It keeps and renews its tokens by itself, as what
`azure.identity.get_bearer_token_provider` gives does, so it is asked for every request. `azure.identity` is not needed.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.vocabulary.errors import AuthenticationError, TrunklineError
from trunkline.vocabulary.secret import MASK, Secret, Token

Callback = Callable[[], str | Awaitable[str]]
"""Gives a token that is good now."""


class TokenCallback:
    """A credential that asks a function for each token. A plain function runs in a thread: at times it has to fetch."""

    def __init__(self, fn: Callback) -> None:
        self._fn = fn
        self._is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)

    def current(self) -> Awaitable[Secret]:
        """The token that the function gives."""
        return self._asked()

    def masked(self) -> Secret:
        """A stand-in of the same kind."""
        return Token(MASK)

    async def _asked(self) -> Secret:
        try:
            said: Any = self._fn() if self._is_async else await asyncio.to_thread(self._fn)
            token = await said if inspect.isawaitable(said) else said
        except TrunklineError:
            raise
        except Exception as error:
            raise AuthenticationError(f"the token callback failed: {type(error).__name__}", status=401) from error
        if not isinstance(token, str):
            raise AuthenticationError(f"the token callback gave no text but {type(token).__name__}", status=401)
        if not (token and token.isascii() and token.isprintable()):
            raise AuthenticationError("the token callback gave nothing that a header can carry", status=401)
        return Token(token)

    def __repr__(self) -> str:
        return "Credential(…)"
