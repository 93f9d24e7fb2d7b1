"""`trunkline ask`: one question, its answer as it comes, and what it cost."""

from __future__ import annotations

import sys
from decimal import Decimal

import click

from trunkline.asking import image
from trunkline.portal import Client, Stream
from trunkline.vocabulary.errors import ConfigurationError


@click.command()
@click.argument("question", nargs=-1)
@click.option("-m", "--model", help="provider/model, or a target's name; else TRUNKLINE_MODEL, the file's, local")
@click.option("-s", "--system", help="a system prompt")
@click.option("-i", "--image", "images", multiple=True, help="a picture to look at: a path or a URL")
@click.option("--max-tokens", type=int)
@click.option("--temperature", type=float)
@click.option("--config", type=click.Path(), help="a configuration file other than trunkline.yaml")
@click.option("-q", "--quiet", is_flag=True, help="leave the last line out")
def command(
    question: tuple[str, ...],
    model: str | None,
    system: str | None,
    images: tuple[str, ...],
    max_tokens: int | None,
    temperature: float | None,
    config: str | None,
    quiet: bool,
) -> None:
    """Ask a model; without a QUESTION it is read from standard input."""
    words = " ".join(question) or ("" if sys.stdin.isatty() else sys.stdin.read().strip())
    if not words:
        raise ConfigurationError('ask what? For example: trunkline ask "What is the capital of France?"')
    client = Client(config)
    said = [words, *(image(picture) for picture in images)]
    with client.stream(said, model, system=system, max_tokens=max_tokens, temperature=temperature) as stream:
        for text in stream.text:
            click.echo(text, nl=False)
            sys.stdout.flush()
    click.echo()
    if not quiet:
        click.secho(_summary(stream), dim=True, err=not sys.stdout.isatty())


def _summary(stream: Stream) -> str:
    reply = stream.reply
    usage = reply.usage
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage is not None else "tokens unknown"
    seconds = f"{reply.seconds:.1f} s" if reply.seconds is not None else ""
    return " · ".join((reply.target or "", tokens, seconds, dollars(reply.cost)))


def dollars(cost: Decimal | None) -> str:
    """A cost as people read it."""
    if cost is None:
        return "cost unknown"
    return "$0" if cost == 0 else f"${cost.normalize():f}"
