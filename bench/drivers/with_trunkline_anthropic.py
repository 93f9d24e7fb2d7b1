"""Trunkline's asynchronous client, against a server that speaks Anthropic's dialect."""

import with_trunkline


class Driver(with_trunkline.Driver):
    """The same calls, another provider."""

    provider, model = "anthropic", "claude-sonnet-4-5"
