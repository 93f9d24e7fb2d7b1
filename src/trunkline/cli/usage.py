"""`trunkline usage`: what was asked of whom, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click
import msgspec

from trunkline.clock import SystemClock
from trunkline.config import load
from trunkline.ledger import COLUMNS, Column, Ledger, Spend, default_folder, is_empty, total
from trunkline.opening import folder_of
from trunkline.vocabulary.usage import BUCKETS

DAYS = 7
"""So many days are shown where none are named, today included."""
_DAY = click.DateTime(["%Y-%m-%d"])
DAY = 86_400.0

FIGURES: Mapping[str, Callable[[Spend], int]] = {
    "calls": lambda spend: spend.calls,
    "attempts": lambda spend: spend.attempts,
    "failed": lambda spend: spend.failed,
    "input": lambda spend: spend.usage.prompt_tokens - spend.usage.cache_read,
    "cached": lambda spend: spend.usage.cache_read,
    "output": lambda spend: spend.usage.output + spend.usage.output_audio,
    "reasoning": lambda spend: spend.usage.reasoning,
}
"""The columns of numbers. Each token is in one of them: what was written to a cache is input, audio counts as text."""


@click.command()
@click.option(
    "--by", multiple=True, type=click.Choice(COLUMNS), metavar="COLUMN", help=f"sum by {', '.join(COLUMNS)}; repeatable"
)
@click.option("--since", type=_DAY, metavar="DATE", help=f"the first day, in UTC; else the last {DAYS} are shown")
@click.option("--until", type=_DAY, metavar="DATE", help="the last day; else today")
@click.option("--payer", help="only what this one pays for")
@click.option("--json", "as_json", is_flag=True, help="all token buckets, as JSON")
@click.option("--config", type=click.Path(), help="a configuration file other than trunkline.yaml")
@click.option("--folder", type=click.Path(path_type=Path), help="the ledger's folder, if no file names it")
def command(
    by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    payer: str | None,
    as_json: bool,
    config: str | None,
    folder: Path | None,
) -> None:
    """Calls, attempts, tokens and cost, by day and target unless --by says otherwise."""
    columns = cast("tuple[Column, ...]", tuple(dict.fromkeys(by))) or ("day", "target")
    folder = folder or _folder(config)
    if is_empty(folder):
        if as_json:
            click.echo("[]")
        click.echo(_nothing_yet(folder), err=as_json)
        return
    clock = SystemClock()
    last = until.date() if until is not None else datetime.fromtimestamp(clock.wall(), UTC).date()
    first = since.date() if since is not None else last - timedelta(days=DAYS - 1)
    ledger = Ledger(folder, clock)
    try:
        spends = ledger.usage(columns, since=_midnight(first), until=_midnight(last) + DAY, payer=payer)
    finally:
        ledger.close()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode([_plain(spend) for spend in spends]), indent=2))
    elif not spends:
        click.echo(f"nothing was recorded in {folder} from {first} to {last}{_of(payer)}")
    else:
        _print(columns, spends)
        click.echo(f"\nFrom {first} to {last} (UTC){_of(payer)}, in {folder}.")


def _print(columns: Sequence[Column], spends: Sequence[Spend]) -> None:
    """A table with a line for each sum, and one for all if these are several."""
    sums = [*spends, *([total(spends)] if len(spends) > 1 else [])]
    decimals = max(_decimals(spend.cost) for spend in sums)
    rows = [(*columns, *FIGURES, "cost", ""), *(_row(spend, columns, decimals) for spend in sums)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = zip(row, widths, strict=True)
        named = [f"{word:<{width}}" for word, width in islice(words, len(columns))]
        click.echo("  ".join([*named, *(f"{word:>{width}}" for word, width in words)]).rstrip())
    if any(spend.unpriced for spend in sums):
        click.echo("\n≥ and ?: some attempts have no known cost; it is missing from the sum.")


def _row(spend: Spend, columns: Sequence[Column], decimals: int) -> tuple[str, ...]:
    named = [spend.by[column] or "-" for column in columns] if spend.by else ["all", *[""] * (len(columns) - 1)]
    figures = (f"{figure(spend):,}" for figure in FIGURES.values())
    return (*named, *figures, _cost(spend, decimals), _caution(spend))


def _decimals(cost: Decimal | None) -> int:
    """So many digits behind the point say a cost exactly; two at least."""
    return max(2, -cast("int", cost.normalize().as_tuple().exponent)) if cost is not None else 2


def _cost(spend: Spend, decimals: int) -> str:
    if spend.cost is None:
        return "?"
    return f"{'≥ ' if spend.unpriced else ''}${spend.cost:,.{decimals}f}"


def _caution(spend: Spend) -> str:
    if not spend.estimated:
        return ""
    share = spend.estimated / spend.usage.total_tokens
    return f"{share:.0%} estimated" if share >= 0.01 else "under 1% estimated"


def _plain(spend: Spend) -> dict[str, Any]:
    return {
        **spend.by,
        "calls": spend.calls,
        "attempts": spend.attempts,
        "failed": spend.failed,
        **{bucket: getattr(spend.usage, bucket) for bucket in BUCKETS},
        "estimated": spend.estimated,
        "cost": None if spend.cost is None else f"{spend.cost.normalize():f}",
        "unpriced": spend.unpriced,
    }


def _folder(config: str | None) -> Path:
    return folder_of(load(config)) or default_folder()


def _nothing_yet(folder: Path) -> str:
    return (
        f"no call was recorded in {folder} yet: write `ledger: {folder}` into trunkline.yaml, or set TRUNKLINE_LEDGER, "
        "to record what is called from then on"
    )


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _of(payer: str | None) -> str:
    return f" for {payer}" if payer is not None else ""
