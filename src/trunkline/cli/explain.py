"""`trunkline explain`: whom a call would ask, why not the others, and what would be reserved for it. Calls no one."""

from __future__ import annotations

from decimal import Decimal

import click
import msgspec

from trunkline.policies.limits import overspend
from trunkline.portal import Client
from trunkline.vocabulary.decisions import Considered, Decision

from .ask import dollars

QUESTION = "What is the capital of France?"


@click.command()
@click.argument("question", nargs=-1)
@click.option("-m", "--model", help="a route, a target, or provider/model; else TRUNKLINE_MODEL, the file's, local")
@click.option("--payer", help="who pays")
@click.option("--tag", "tags", multiple=True, help="only targets that carry it; repeatable")
@click.option("--fallback", "fallbacks", multiple=True, help="instead of the route's own; repeatable")
@click.option("--max-tokens", type=click.IntRange(1), help="the most tokens the answer may have")
@click.option("--max-cost", type=Decimal, help="US dollars: dearer targets are left out")
@click.option("--json", "as_json", is_flag=True, help="the decision, as JSON")
@click.option("--config", type=click.Path(), help="a configuration file other than trunkline.yaml")
def command(
    question: tuple[str, ...],
    model: str | None,
    payer: str | None,
    tags: tuple[str, ...],
    fallbacks: tuple[str, ...],
    max_tokens: int | None,
    max_cost: Decimal | None,
    as_json: bool,
    config: str | None,
) -> None:
    """Say how a call with this QUESTION would find its target in a process that has just begun."""
    client = Client(config)
    said = {"payer": payer, "tags": tags, "fallbacks": fallbacks or None, "max_cost": max_cost}
    decision = client.explain(" ".join(question) or QUESTION, model, max_tokens=max_tokens, **said)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(decision), indent=2))
        return
    click.echo(f"{decision.route}: {decision.strategy}{f', because {decision.because}' if decision.because else ''}\n")
    _print(decision)


def _print(decision: Decision) -> None:
    rows = [_row(at, one) for at, one in enumerate(decision.considered, 1)]
    titles = ("", "target", "of", "reserves", "at most", "overspends by")
    width = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        words = [f"{word:<{width[column]}}" for column, word in enumerate(row[: len(titles)])]
        click.echo("  ".join([*words, *row[len(titles) :]]).rstrip())
    click.echo(
        "\nIn this order, as long as nobody answers. A budget can be overspent by the last figure, "
        "for each call that is under way."
    )


def _row(at: int, one: Considered) -> tuple[str, ...]:
    if one.why is not None:
        return ("-", one.target, one.entry, "", "", "", one.why)
    over = overspend(1, one.most, one.cost) if one.most is not None and one.cost is not None else None
    return (f"{at}.", one.target, one.entry, f"{one.tokens:,} tokens, {dollars(one.cost)}", _sum(one.most), _sum(over))


def _sum(cost: Decimal | None) -> str:
    return "?" if cost is None else dollars(cost)
