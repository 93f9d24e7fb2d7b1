"""Dashboard: what was counted of each model, as figures and as a table to look at."""

from __future__ import annotations

from typing import Any

from trunkline.interfaces.line import line

WIDTHS = (24, 9, 9, 8, 9)
COLUMNS = ("Provider", "Latency", "Success", "Tokens", "Cost")
TITLE = "LLM Performance Dashboard"


def get_metrics() -> dict[str, dict[str, Any]]:
    """By `provider/model`, for all calls of this process' interfaces: `provider`, `calls`, `latency` in seconds,
    `success_rate` from 0 to 1, `input_tokens`, `output_tokens`, `cost` in US dollars, and `errors` by kind. None where
    nothing is known."""
    return {
        row.target: {
            "provider": row.provider,
            "calls": row.attempts,
            "latency": row.mean_seconds,
            "success_rate": row.success_rate,
            "input_tokens": row.prompt_tokens,
            "output_tokens": row.completion_tokens,
            "cost": float(row.cost) if row.cost or not row.unpriced else None,
            "errors": dict(row.errors),
        }
        for row in line().runtime.metrics.rows()
    }


def render_dashboard() -> str:
    """The same as a table."""
    rows = [_shown(name, figures) for name, figures in get_metrics().items()]
    inside = sum(WIDTHS) + 3 * len(WIDTHS) - 1
    lines = [f"┌─ {TITLE} {'─' * (inside - len(TITLE) - 3)}┐", _row(COLUMNS), _rule("├", "┼", "┤")]
    return "\n".join([*lines, *(_row(cells) for cells in rows), _rule("└", "┴", "┘")])


def _shown(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    latency, success, cost = figures["latency"], figures["success_rate"], figures["cost"]
    return (
        name.partition("/")[2] or name,
        f"{latency:.1f}s" if latency is not None else "-",
        f"{success:.1%}" if success is not None else "-",
        _short(figures["input_tokens"] + figures["output_tokens"]),
        _dollars(cost) if cost is not None else "?",
    )


def _short(count: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def _dollars(cost: float) -> str:
    return f"${cost:,.0f}" if cost >= 10 else f"${cost:.4f}".rstrip("0").rstrip(".")


def _row(cells: tuple[str, ...]) -> str:
    shown = (f" {cell[:width]:<{width}} " for cell, width in zip(cells, WIDTHS, strict=True))
    return f"│{'│'.join(shown)}│"


def _rule(left: str, between: str, right: str) -> str:
    return left + between.join("─" * (width + 2) for width in WIDTHS) + right
