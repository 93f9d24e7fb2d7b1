"""`trunkline serve`: the gateway, and the few lines that say how to reach it."""

from __future__ import annotations

import os

import click
import msgspec
from msgspec.structs import replace

from trunkline.config import load
from trunkline.gateway.app import App
from trunkline.vocabulary.errors import ConfigurationError

SHOWN = 8
"""How many models of each provider are printed."""


@click.command()
@click.option("--host", help="a loopback address; 127.0.0.1 unless the configuration says otherwise")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="4000 unless the configuration says otherwise; 0 takes a free one"
)
@click.option("--workers", type=click.IntRange(1), help="processes that share the port")
@click.option("--config", type=click.Path(), help="a configuration file other than trunkline.yaml")
def command(host: str | None, port: int | None, workers: int | None, config: str | None) -> None:
    """Start the gateway: an OpenAI- and Anthropic-compatible server for programs on this machine."""
    try:
        from trunkline.gateway.server import serve
    except ImportError as error:
        raise ConfigurationError(
            f"the gateway needs its extra ({error.name}): pip install 'trunkline[gateway]'"
        ) from None
    if config is not None:
        os.environ["TRUNKLINE_CONFIG"] = config  # where each worker looks
    said = {name: value for name, value in (("host", host), ("port", port), ("workers", workers)) if value is not None}
    serve(replace(load(config).gateway, **said), _announce)


def _announce(app: App, url: str) -> None:
    names = app.listing.names
    model = next((name for name in names if name.startswith("local/")), names[0] if names else "provider/model")
    question = {"model": model, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    body = msgspec.json.encode(question).decode()
    click.echo(f"Trunkline listens on {url}\n")
    click.echo(f"  curl {url}/v1/chat/completions -H 'content-type: application/json' \\\n    -d '{body}'\n")
    click.echo("Models:")
    for line in _by_provider(names):
        click.echo(f"  {line}")
    click.echo("\n`trunkline models` says why others cannot be called yet.")
    if app.ledger is not None:
        click.echo(f"`trunkline usage` adds up what is called; it is written down in {app.ledger.folder}.")
    click.echo("Ctrl-C stops.")


def _by_provider(names: list[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0] if "/" in name else name, []).append(name)
    return [
        ", ".join(group[:SHOWN]) + (f" and {len(group) - SHOWN} more" if len(group) > SHOWN else "")
        for group in groups.values()
    ]
