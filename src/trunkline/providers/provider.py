"""Provider: what a row of the catalog says.

Owns the shape of a row and the two questions that it answers: which of its dialects fits a call, and at which address.
What a row cannot say earns a field here once three rows need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from trunkline.vocabulary.calls import Target
from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError
from trunkline.vocabulary.facts import Quirks
from trunkline.vocabulary.protocols import Dialect
from trunkline.vocabulary.requests import Operation

from .auth import Auth, bearer

TransportName = Literal["http", "mock", "local"]


class Provider(Struct, frozen=True):
    """One provider: where it is, which key it wants, and how its API is spoken."""

    name: str
    base_url: str | None
    """The address below which its dialects' paths lie; None where the user must give it (`base_env`)."""
    key_env: str | None = None
    """The environment variable that holds its key; None where it needs none."""
    key_optional: bool = False
    """Works without a key, and sends one if there is one."""
    auth: Auth = bearer
    speaks: tuple[Dialect, ...] = ()
    """Its dialects, the preferred one of each operation first."""
    quirks: Quirks = Quirks()
    headers: Mapping[str, str] = {}
    """Headers that every request carries."""
    paths: Mapping[str, str] = {}
    """Dialect name: its path where that is not the dialect's own. `{model}` and the target's options are filled in."""
    options: Mapping[str, str] = {}
    """Defaults of the options that `paths` and `headers` need."""
    option_env: Mapping[str, str] = {}
    """Option: the environment variable that sets it."""
    transport: TransportName = "http"
    own_models: Mapping[Operation, str] = {}
    """The model that the bare provider's name stands for, by operation."""
    missing: Callable[[], str | None] | None = None
    """What this machine lacks to use it, in one sentence; None where nothing is lacking."""
    docs: str = ""

    @property
    def base_env(self) -> tuple[str, str]:
        """The environment variables that move its address."""
        stem = self.name.upper().replace("-", "_")
        return f"{stem}_API_BASE", f"{stem}_BASE_URL"

    def dialect_for(self, operation: Operation, spoken: str | None) -> Dialect:
        """The dialect to ask in: the caller's own, if it is spoken here; else the preferred one of the operation."""
        fitting = [dialect for dialect in self.speaks if dialect.operation == operation]
        if not fitting:
            raise InvalidRequestError(f"{self.name} has no {operation}", code="unsupported_operation", status=400)
        return next((dialect for dialect in fitting if dialect.name == spoken), fitting[0])

    def url(self, target: Target, dialect: Dialect) -> str:
        """The address of one operation."""
        path = self.paths.get(dialect.name)
        if path is None:
            return target.base_url + dialect.path
        try:
            return target.base_url + path.format_map({**self.options, **target.options, "model": target.model})
        except KeyError as missing:
            raise ConfigurationError(f"{self.name} needs the option {missing} to build its address") from None
