"""`trunkline ask`: one question, its answer as it comes, and what it cost."""

from __future__ import annotations

import sys
from decimal import Decimal

import click

from trunkline.asking import image
from trunkline.portal import Client
from trunkline.vocabulary.errors import InvalidRequestError
from trunkline.vocabulary.replies import Reply


@click.command()
@click.argument("question", nargs=-1)
@click.option("-m", "--model", help="provider/model, or a target's name; else TRUNKLINE_MODEL, the file's, local")
@click.option("-s", "--system", help="a system prompt")
@click.option("-i", "--image", "images", multiple=True, help="a picture to look at: a path or a URL")
@click.option("--max-tokens", type=click.IntRange(1), help="the most tokens the answer may have")
@click.option("--temperature", type=float, help="0 for the likeliest words, more for bolder ones")
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
    """Ask a model. Without a QUESTION it is read from standard input; the word - stands for that input too, as in
    `trunkline ask "Sum this up:" - < report.txt`."""
    words = _words(question)
    client = Client(config)
    said = [words, *(image(picture) for picture in images)]
    written = ""
    with client.stream(said, model, system=system, max_tokens=max_tokens, temperature=temperature) as stream:
        try:
            for written in stream.text:
                click.echo(written, nl=False)
        finally:
            if not written.endswith("\n"):
                click.echo()
    reply = stream.reply
    if not reply.text and reply.choices and reply.message.refusal:
        click.echo(reply.message.refusal)
    if not quiet:
        aside = not sys.stdout.isatty()  # a pipe gets the answer alone
        for loss in reply.loss:
            click.secho(f"left out: {loss.field} ({loss.why})", dim=True, err=aside)
        click.secho(_summary(reply), dim=True, err=aside)


def _words(question: tuple[str, ...]) -> str:
    words = " ".join(_input() if word == "-" else word for word in question)
    if not question and not sys.stdin.isatty():
        words = _input()
    if not words.strip():
        raise InvalidRequestError('ask what? For example: trunkline ask "What is the capital of France?"')
    return words


def _input() -> str:
    return sys.stdin.buffer.read().decode(errors="replace").strip()


def _summary(reply: Reply) -> str:
    """Model, tokens, time and cost on one line, and why the answer broke off if it did."""
    usage = reply.usage
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage is not None else "tokens unknown"
    words = [reply.target or "", tokens, f"{reply.seconds or 0:.1f} s", dollars(reply.cost)]
    if reply.finish == "length":
        words.append("cut at the most tokens allowed")
    return " · ".join(words)


def dollars(cost: Decimal | None) -> str:
    """A cost as people read it."""
    if cost is None:
        return "cost unknown"
    return "$0" if cost == 0 else f"${cost.normalize():f}"
