"""`trunkline check`: every mistake in the configuration, with file, line and remedy. Calls no one."""

from __future__ import annotations

import os
import sys

import click
import msgspec

from trunkline.config import examine, schema
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.errors import ConfigurationError


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True))
@click.option("--schema", "print_schema", is_flag=True, help="print the file's JSON schema, for editors, and stop")
def command(file: str | None, print_schema: bool) -> None:
    """Check FILE (else TRUNKLINE_CONFIG, else ./trunkline.yaml)."""
    if print_schema:
        click.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
        return
    config, mistakes = examine(file, os.environ)
    for mistake in mistakes:
        click.echo(str(mistake), err=True)
    if mistakes:
        click.echo(f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}", err=True)
        sys.exit(1)
    snapshot = Snapshot(config)
    for name in config.targets:
        try:
            target = snapshot.target(name)
            click.echo(f"{name}: {target.provider}/{target.model} at {target.base_url}, {_key(target.key is not None)}")
        except ConfigurationError as error:
            raise ConfigurationError(f"targets.{name}: {error.message}") from None
    click.echo(f"default model: {snapshot.target(snapshot.model).name}")


def _key(there: bool) -> str:
    return "with a key" if there else "without a key"
