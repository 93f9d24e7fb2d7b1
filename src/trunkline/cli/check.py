"""`trunkline check`: every mistake in the configuration, with file, line and remedy. Calls no one."""

from __future__ import annotations

import os
import sys
from itertools import islice

import click
import msgspec

from trunkline.config import FILE, examine, file_in_use, schema
from trunkline.snapshot import Snapshot
from trunkline.vocabulary.errors import ConfigurationError


@click.command()
@click.argument("file", required=False, type=click.Path())
@click.option("--schema", "print_schema", is_flag=True, help="print the file's JSON schema, for editors, and stop")
def command(file: str | None, print_schema: bool) -> None:
    """Check FILE (else TRUNKLINE_CONFIG, else ./trunkline.yaml) and the environment.

    Prints what each target stands for. Exit code 1 if there is a mistake.
    """
    if print_schema:
        click.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
        return
    config, mistakes = examine(file, os.environ)
    wrong = [str(mistake) for mistake in mistakes]
    if not wrong:
        wrong = _look_up(Snapshot(config))
    for line in wrong:
        click.echo(line, err=True)
    if wrong:
        click.echo(f"{len(wrong)} mistake{'s' if len(wrong) > 1 else ''}", err=True)
        sys.exit(1)
    used = file_in_use(file, os.environ)
    click.echo(f"{used}: no mistakes" if used is not None else f"no mistakes; there is no {FILE} here")


def _look_up(snapshot: Snapshot) -> list[str]:
    """Print what each name stands for. Gives what only shows when a key is looked up."""
    targets = islice(snapshot.available(), len(snapshot.config.targets))  # they come first; the rest is not asked for
    why = {entry.name: entry.why for entry in targets}
    wrong: list[str] = []
    for name in snapshot.config.targets:
        try:
            target = snapshot.target(name)
        except ConfigurationError as error:
            wrong.append(f"targets.{name}: {error.message}")
            continue
        place = f"at {target.base_url}"
        click.echo(f"{name}: {target.provider}/{target.model} {place}, {why[name].removeprefix(f'{place}, ')}")
    click.echo(f"default model: {snapshot.names.find(snapshot.model).name}")
    click.echo(f"default embedding model: {snapshot.names.find(snapshot.embedding_model, 'embeddings').name}")
    return wrong
