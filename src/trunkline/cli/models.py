"""`trunkline models`: what can be called now, and why the rest cannot."""

from __future__ import annotations

import sys
from decimal import Decimal

import click

from trunkline.config import load
from trunkline.models.facts import ModelFacts
from trunkline.snapshot import Available, Snapshot


@click.command()
@click.argument("search", required=False)
@click.option("--details", is_flag=True, help="each model with its window, abilities and price")
@click.option("--all", "everything", is_flag=True, help="with --details: also what cannot be called yet")
@click.option("--config", type=click.Path(), help="a configuration file other than trunkline.yaml")
def command(search: str | None, details: bool, everything: bool, config: str | None) -> None:
    """List targets and providers; with --details or SEARCH (a part of a name), the models themselves."""
    snapshot = Snapshot(load(config))
    available = list(snapshot.available())
    if search is not None:
        _print_models(snapshot, available, search)
    elif details or everything:
        _print_models(snapshot, [entry for entry in available if entry.ready or everything], "")
    else:
        _print_available(available)


def _print_available(available: list[Available]) -> None:
    width = max(len(entry.name) for entry in available)
    for entry in available:
        count = f"{len(entry.models)} models, " if entry.ready and len(entry.models) > 1 else ""
        click.echo(f"{_mark(entry)} {entry.name:<{width}}  {count}{entry.why}")
    click.echo("\n`trunkline models --details` shows windows, abilities and prices; `trunkline models WORD` searches.")


def _print_models(snapshot: Snapshot, available: list[Available], search: str) -> None:
    found = [(entry, name) for entry in available for name in entry.models if search.lower() in name.lower()]
    if not found:
        click.echo(f"no model's name holds '{search}'", err=True)
        sys.exit(1)
    width = max(len(name) for _, name in found)
    click.echo(f"  {'model':<{width}} {'context':>9} {'output':>8} {'in':>8} {'out':>8}  abilities")
    for entry, name in found:
        named = snapshot.names.find(name)
        click.echo(f"{_mark(entry)} {name:<{width}} {_facts(snapshot.book.lookup(named.provider, named.model))}")
    click.echo(
        "\nIn and out: dollars per million tokens. ✓ can be called now; `trunkline models` says why others cannot."
    )


def _mark(entry: Available) -> str:
    return click.style("✓", fg="green") if entry.ready else click.style("·", dim=True)


_ABILITIES = ("tools", "vision", "audio_input", "pdf", "structured_output", "reasoning", "prompt_cache")


def _facts(facts: ModelFacts | None) -> str:
    if facts is None:
        return f"{'?':>9} {'?':>8} {'?':>8} {'?':>8}"
    rates = facts.rates()
    able = " ".join(ability for ability in _ABILITIES if getattr(facts, ability))
    prices = (_price(rates.input), _price(rates.output)) if rates is not None else ("?", "?")
    return f"{_count(facts.context):>9} {_count(facts.max_output):>8} {prices[0]:>8} {prices[1]:>8}  {able}".rstrip()


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _price(dollars: Decimal | None) -> str:
    return "?" if dollars is None else f"{dollars.normalize():f}"
