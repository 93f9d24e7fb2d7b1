"""Provider: what a row of the catalog says.

Owns the shape of a row and the two questions that it answers: which of its dialects fits a call, and at which address.
What a row cannot say earns a field here once three rows need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast
from urllib.parse import quote

from msgspec import Struct

from trunkline.vocabulary.errors import ConfigurationError, InvalidRequestError
from trunkline.vocabulary.facts import Quirks
from trunkline.vocabulary.protocols import Dialect, StreamingDialect, Transport
from trunkline.vocabulary.requests import Operation
from trunkline.vocabulary.routes import Target
from trunkline.vocabulary.secret import Credential

from .auth import Auth, bearer

TransportName = Literal["http", "mock", "local", "litellm"]


class Provider(Struct, frozen=True):
    """One provider: where it is, which key it wants, and how its API is spoken."""

    name: str
    base_url: str | None
    """The address below which its dialects' paths lie; None where the user must give it (`base_env`)."""
    key_env: str | None = None
    """The environment variable that holds its key; None where it needs none."""
    key_env_also: tuple[str, ...] = ()
    """Other variables under which people have it."""
    key_optional: bool = False
    """Works without a key, and sends one if there is one."""
    credential: Callable[[Mapping[str, str], Mapping[str, str]], Credential | None] | None = None
    """Makes one of a target's options and the environment where there is no key; None where nothing says how."""
    auth: Auth = bearer
    speaks: tuple[Dialect, ...] = ()
    """Its dialects, the preferred one of each operation first."""
    by_model: Mapping[str, str] = {}
    """A part of models' names: the one dialect in which such models are asked."""
    quirks: Quirks = Quirks()
    headers: Mapping[str, str] = {}
    """Headers that every request carries."""
    headers_in_body: Mapping[str, str] = {}
    """A caller's header: the key under which this provider has what it lists."""
    idempotency_header: str | None = None
    """The header by which it knows a request that it has answered before; None: it knows none. A call's retries say
    the same there."""
    paths: Mapping[str, str | tuple[str, str]] = {}
    """Dialect name: its path where that is not the dialect's own, or that of a whole answer and that of a stream.
    `{model}` and the target's options are filled in, here and in `base_url`."""
    plain_below: str | None = None
    """Below an address that ends so, the dialects' own paths hold instead."""
    wraps_streams: bool = False
    """Streams come wrapped in AWS's binary frames."""
    signatures: str | None = None
    """Providers of the same word take one another's signatures of reasoning; None: nobody else's, only its own."""
    options: Mapping[str, str] = {}
    """Defaults of the options that `paths` and `headers` need."""
    option_env: Mapping[str, str] = {}
    """Option: the environment variable that sets it."""
    transport: TransportName | Transport = "http"
    """What carries its requests: one of the runtime's by name, or one of its own."""
    own_models: Mapping[Operation, str] = {}
    """The model that the bare provider's name stands for, by operation."""
    missing: Callable[[], str | None] | None = None
    """What this machine lacks to use it, in one sentence; None where nothing is lacking."""
    docs: str = ""

    @property
    def needs_key(self) -> bool:
        """Whether it answers nobody without one."""
        return not self.key_optional and (self.key_env is not None or self.credential is not None)

    @property
    def base_env(self) -> tuple[str, str]:
        """The environment variables that move its address."""
        stem = self.name.upper().replace("-", "_")
        return f"{stem}_API_BASE", f"{stem}_BASE_URL"

    def offers(self, operation: Operation) -> bool:
        """Whether it has a service for it."""
        return any(dialect.operation == operation for dialect in self.speaks)

    def dialect_for(self, operation: Operation, spoken: str | None, only: str | None = None) -> Dialect:
        """The dialect to ask in: the `only` one that a model answers in, else the caller's own, if it is spoken here;
        else the preferred one of the operation."""
        fitting = [dialect for dialect in self.speaks if dialect.operation == operation]
        if not fitting:
            raise InvalidRequestError(f"{self.name} has no {operation}", code="unsupported_operation", status=400)
        for wanted in (only, spoken):
            for dialect in fitting:
                if dialect.name == wanted:
                    return dialect
        return fitting[0]

    @property
    def signer(self) -> str:
        """Whose signatures are good here (`Facts.signer`)."""
        return self.signatures or self.name

    def url(self, target: Target, dialect: Dialect, *, stream: bool = False) -> str:
        """The address of one operation."""
        own = (dialect.path, cast("StreamingDialect", dialect).stream_path) if stream else dialect.path
        plain = self.plain_below is not None and target.base_url.endswith(self.plain_below)
        path = own if plain else self.paths.get(dialect.name, own)
        address = target.base_url + (path if isinstance(path, str) else path[stream])
        if "{" not in address:
            return address
        model = quote(target.model, safe="")
        try:
            return address.format_map({**self.options, **target.options, "model": model})
        except KeyError as missing:
            raise ConfigurationError(f"{self.name} needs the option {missing} to build its address") from None
