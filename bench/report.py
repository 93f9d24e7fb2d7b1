"""Report: tables of figures, as Markdown."""

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Table:
    """One table: a row for each contestant. A figure is a list of measurements; its median is shown."""

    title: str
    columns: list[str]
    note: str = ""
    rows: dict[str, dict[str, list[float] | str]] = field(default_factory=dict)

    def add(self, row: str, column: str, figure: float | str) -> None:
        """Note one measurement, or a word."""
        figures = self.rows.setdefault(row, {})
        if isinstance(figure, str):
            figures[column] = figure
        else:
            figures.setdefault(column, []).append(figure)

    def value(self, row: str, column: str) -> float | None:
        """The median of what was measured."""
        figures = self.rows.get(row, {}).get(column)
        return median(figures) if isinstance(figures, list) else None

    def markdown(self) -> str:
        """The table, with its heading and its note."""
        lines = [f"## {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines += ["| | " + " | ".join(self.columns) + " |", "|---|" + "---:|" * len(self.columns)]
        for row, figures in self.rows.items():
            lines.append(f"| {row} | " + " | ".join(_shown(figures.get(column)) for column in self.columns) + " |")
        return "\n".join([*lines, ""])


def _shown(figures: list[float] | str | None) -> str:
    if figures is None:
        return ""
    if isinstance(figures, str):
        return figures
    figure = median(figures)
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"
