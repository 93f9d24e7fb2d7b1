"""`trunkline models`: what can be called now, and why the rest cannot."""

from __future__ import annotations

from decimal import Decimal

import click

from trunkline.config import load
from trunkline.models.facts import ModelFacts
from trunkline.snapshot import Available, Snapshot


@click.command()
@click.argument("search", required=False)
@click.option("--details", is_flag=True, help="each model with its window, abilities and price")
@click.option("--all", "everything", is_flag=True, help="with --details: also models of providers without a key")
@click.option("--config", type=click.Path(exists=True), help="a configuration file other than trunkline.yaml")
def command(search: str | None, details: bool, everything: bool, config: str | None) -> None:
    """List targets and providers; with SEARCH or --details, the models themselves."""
    snapshot = Snapshot(load(config))
    available = list(snapshot.available())
    if details or search:
        _print_models(snapshot, [entry for entry in available if entry.ready or everything], search or "")
        return
    width = max(len(entry.name) for entry in available)
    for entry in available:
        mark = click.style("✓", fg="green") if entry.ready else click.style("·", dim=True)
        count = f"{len(entry.models)} models, " if len(entry.models) > 1 else ""
        click.echo(f"{mark} {entry.name:<{width}}  {count if entry.ready else ''}{entry.why}")
    click.echo("\n`trunkline models --details [SEARCH]` shows windows, abilities and prices.")


def _print_models(snapshot: Snapshot, available: list[Available], search: str) -> None:
    click.echo(f"{'model':<56} {'context':>9} {'output':>8} {'in':>8} {'out':>8}  abilities  ($ per million tokens)")
    shown = 0
    for entry in available:
        for name in entry.models:
            if search.lower() not in name.lower():
                continue
            click.echo(_line(name, snapshot.book.lookup(*_target(snapshot, entry, name))))
            shown += 1
    if not shown:
        click.echo(f"no model matches '{search}'; --all looks at providers without a key too", err=True)


def _target(snapshot: Snapshot, entry: Available, name: str) -> tuple[str, str]:
    if entry.ready:
        target = snapshot.target(name)
        return target.provider, target.model
    provider, _, model = name.partition("/")
    return provider, model


_ABILITIES = ("tools", "vision", "audio_input", "pdf", "structured_output", "reasoning", "prompt_cache")


def _line(name: str, facts: ModelFacts | None) -> str:
    if facts is None:
        return f"{name:<56} {'?':>9} {'?':>8} {'?':>8} {'?':>8}"
    rates = facts.rates()
    able = " ".join(ability for ability in _ABILITIES if getattr(facts, ability))
    prices = (_price(rates.input), _price(rates.output)) if rates is not None else ("?", "?")
    return f"{name:<56} {_count(facts.context):>9} {_count(facts.max_output):>8} {prices[0]:>8} {prices[1]:>8}  {able}"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _price(dollars: Decimal | None) -> str:
    return "?" if dollars is None else f"{dollars.normalize():f}"
