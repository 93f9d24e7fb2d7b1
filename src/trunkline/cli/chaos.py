"""`trunkline chaos`: a provider on the loopback that fails as it is told, and the table of what can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import click

from trunkline.testing import FAULTS, ChaosServed, ChaosUpstream
from trunkline.vocabulary.errors import ConfigurationError

PORT = 4010


@click.command()
@click.argument("faults", nargs=-1)
@click.option("--mix", help='what goes wrong by chance instead, and how often: "429=0.1,cut=0.05"')
@click.option("--seed", type=int, default=0, help="the same seed, the same faults and times")
@click.option("--latency", type=click.FloatRange(0), default=0.0, help="seconds before an answer")
@click.option("--tail", type=click.FloatRange(0), default=0.0, help="their spread (sigma of a lognormal), 1 is heavy")
@click.option("--events", type=click.IntRange(1), default=8, help="pieces of a streamed answer")
@click.option("--gap", type=click.FloatRange(0), default=0.0, help="seconds between them")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, help=f"{PORT} if not said; 0 takes a free one")
@click.option("--list", "listed", is_flag=True, help="print what can go wrong, and stop")
def command(
    faults: tuple[str, ...],
    mix: str | None,
    seed: int,
    latency: float,
    tail: float,
    events: int,
    gap: float,
    port: int,
    listed: bool,
) -> None:
    """Start a provider that fails on purpose, on this machine: it speaks OpenAI's, Anthropic's, Google's and Bedrock's
    APIs.

    Each request meets the next of FAULTS, the last one again and again. One to a model called chaos:FAULT meets that.
    """
    if listed:
        for line in _table():
            click.echo(line)
        return
    upstream = ChaosUpstream(
        faults,
        mix=_shares(mix) if mix is not None else None,
        seed=seed,
        latency=latency,
        tail=tail,
        events=events,
        gap=gap,
        port=port,
        each=_tell,
    )
    asyncio.run(_serve(upstream))


async def _serve(upstream: ChaosUpstream) -> None:
    try:
        await upstream.__aenter__()
    except OSError as error:
        raise ConfigurationError(f"no server can be opened there: {error.strerror}; --port names another") from None
    click.echo(f"Chaos listens on {upstream.url}\n")
    click.echo(f"  OPENAI_API_KEY=any OPENAI_BASE_URL={upstream.url} trunkline ask -m openai/chaos:429 hello\n")
    click.echo("`trunkline chaos --list` says what can go wrong. Ctrl-C stops.")
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await upstream.__aexit__()


def _tell(asked: ChaosServed) -> None:
    click.echo(f"{asked.path}  {asked.model or '?'}  {asked.fault}")


def _shares(said: str) -> dict[str, float]:
    """`fault=share`, with commas between them; the fault may have its own number: `cut=100=0.05`."""
    shares: dict[str, float] = {}
    for word in said.split(","):
        fault, given, share = word.strip().rpartition("=")
        try:
            shares[fault] = float(share if given else given)
        except ValueError:
            raise ConfigurationError(f"'{word}' says no share: write fault=share, as in 429=0.1", param="mix") from None
    return shares


def _table() -> Iterator[str]:
    said = {name: f"{name}[={fault.usual:g}]" if fault.parameter else name for name, fault in FAULTS.items()}
    width = max(map(len, said.values()))
    for name, fault in FAULTS.items():
        yield f"{said[name]:<{width}}  {fault.does}"
    yield "\nIn brackets: the number that is meant where none is given. A comma joins several: slow=2,429."
