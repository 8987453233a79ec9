"""What the Dagster UI shows of a table: counts, columns, a preview, a plot.

Belongs here: turning frames and figures into Dagster metadata.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.schemas import Table

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 80


def column_schema(table: Table) -> dg.TableSchema:
    """The declared columns with their descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                str(c.dtype),
                description=c.description,
                constraints=dg.TableColumnConstraints(nullable=c.nullable),
            )
            for c in table.columns
        ]
    )


def preview(frame: pl.LazyFrame, rows: int = PREVIEW_ROWS) -> str:
    """The first rows as a markdown table, long values cut."""
    head = frame.head(rows).collect()
    lines = ["| " + " | ".join(head.columns) + " |", "|" + "---|" * len(head.columns)]
    lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in head.iter_rows()]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = str(value).replace("|", "\\|").replace("\n", "⏎")
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"


def column_plot(frame: pl.LazyFrame, column: str, title: str) -> str:
    """How a column is distributed: bars for words, a histogram for numbers; inline markdown."""
    dtype = frame.collect_schema()[column]
    if dtype.is_numeric():
        values = frame.select(pl.col(column).drop_nulls()).collect().to_series()
        return figure_markdown(_histogram(values, column, title))
    counts = (
        frame.group_by(pl.col(column).cast(pl.String).fill_null("(none)"))
        .len()
        .sort(["len", column], descending=[True, False])
        .head(20)
        .collect()
    )
    return figure_markdown(_bars(counts[column].to_list(), counts["len"].to_list(), column, title))


def _bars(labels: list[str], counts: list[int], column: str, title: str) -> Any:
    figure, axes = _axes(max(1.6, 0.3 * len(labels) + 0.9))
    axes.barh(labels[::-1], counts[::-1], color="#4f6d9b")
    axes.bar_label(axes.containers[0], padding=2, fontsize=7)
    axes.set(title=title, xlabel="rows", ylabel=column)
    return figure


def _histogram(values: pl.Series, column: str, title: str) -> Any:
    figure, axes = _axes(2.4)
    axes.hist(values.to_numpy(), bins=30, color="#4f6d9b")
    axes.set(title=title, xlabel=column, ylabel="rows")
    return figure


def _axes(height: float) -> tuple[Any, Any]:
    # Imported here: drawing is not needed to load the definitions.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, height), dpi=90, layout="constrained")
    return figure, figure.subplots()


def figure_markdown(figure: Any) -> str:
    """A matplotlib figure as an inline image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![plot](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"


def metrics_markdown(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics with their intervals as a markdown table."""
    lines = ["| metric | value | 95 % interval | n |", "|---|---|---|---|"]
    for name, m in metrics.items():
        interval = "" if m.get("low") is None else f"{m['low']:.3f} to {m['high']:.3f}"
        lines.append(f"| {name} | {m['value']:.3f} | {interval} | {m.get('n') or ''} |")
    return "\n".join(lines)
