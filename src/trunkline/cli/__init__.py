"""The command line: `trunkline ask | serve | models | explain | check | usage | local`.

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
    "explain": "whom a call would ask, calling no one",
    "check": "find every mistake in trunkline.yaml, calling no one",
    "usage": "what was asked of whom, and what it cost",
    "local": "the embedded model",
    "chaos": "a provider that fails on purpose, to test against",
}
INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, as shells have it."""


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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trunkline")
def trunkline() -> None:
    """One line to every model."""


def main() -> None:
    """The entry point. What we know to go wrong is told on stderr, with exit code 1; a wrong command line is 2, Ctrl-C
    130. A reader that closes the pipe early is click's to notice."""
    from trunkline.vocabulary.errors import TrunklineError

    try:
        trunkline.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except TrunklineError as error:
        click.echo(f"trunkline: {error}", err=True)
        sys.exit(1)
