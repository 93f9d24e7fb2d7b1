"""The command line: `trunkline ask | serve | models | check | local`.

Subcommands live in a file each and are imported when they are called, so that the first token comes soon.
"""

from __future__ import annotations

import importlib
import sys

import click

COMMANDS = {
    "ask": "ask a model and print its answer as it comes",
    "serve": "start the gateway",
    "models": "list what can be called now, and why the rest cannot",
    "check": "find every mistake in trunkline.yaml, calling no one",
    "local": "the embedded model",
}


class _Commands(click.Group):
    """The subcommands, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"trunkline.cli.{cmd_name}")
        return module.command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trunkline")
def trunkline() -> None:
    """One line to every model."""


def main() -> None:
    """The entry point: errors that we know are one line on stderr and exit code 1 (or 130 for Ctrl-C)."""
    from trunkline.vocabulary.errors import TrunklineError

    try:
        trunkline.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except TrunklineError as error:
        click.echo(f"trunkline: {error}", err=True)
        sys.exit(1)
