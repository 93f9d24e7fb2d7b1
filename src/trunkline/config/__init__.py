"""Configuration: one YAML file, then the environment, then arguments; the later word wins.

Each file is one step: `shapes` says what may be said, `file` reads it with its lines, `naming` knows what a name means,
`sense` finds what makes none, `loading` puts it together. `snapshot` turns the result into targets.
"""

from .file import Mistake
from .loading import FILE, examine, file_in_use, load, parse
from .naming import Named, Names, address
from .sense import book_of, catalog_of, names_of
from .shapes import (
    BUILT_IN_MODEL,
    LOOPBACK,
    OTHER_VARIABLES,
    VARIABLES,
    BudgetConfig,
    CacheConfig,
    Config,
    ConnectionsConfig,
    GatewayConfig,
    LimitsConfig,
    PayerConfig,
    PriceConfig,
    ProviderConfig,
    QueueConfig,
    RouteConfig,
    StateConfig,
    TargetConfig,
    schema,
)

__all__ = [
    "BUILT_IN_MODEL",
    "FILE",
    "LOOPBACK",
    "OTHER_VARIABLES",
    "VARIABLES",
    "BudgetConfig",
    "CacheConfig",
    "Config",
    "ConnectionsConfig",
    "GatewayConfig",
    "LimitsConfig",
    "Mistake",
    "Named",
    "Names",
    "PayerConfig",
    "PriceConfig",
    "ProviderConfig",
    "QueueConfig",
    "RouteConfig",
    "StateConfig",
    "TargetConfig",
    "address",
    "book_of",
    "catalog_of",
    "examine",
    "file_in_use",
    "load",
    "names_of",
    "parse",
    "schema",
]
