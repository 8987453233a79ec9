"""What the Dagster UI shows of an asset: counts, columns and where they come from, a preview, a plot.

Belongs here: turning frames and figures into Dagster metadata. Does not belong here: which assets there are.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.schemas import Table
from cpp_pipeline.schemas.lineage import origins

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 80
_COLOUR = "#4f6d9b"
_LABEL_CHARACTERS = 40
_LETTER_INCHES = 0.085
"""of a wide letter in matplotlib's standard font, 10 points high"""
_PARTIAL = re.compile(r" - |: |\(")
_SKEWED = 50
"""A histogram whose greatest value is so many times the median is drawn over logarithms."""


def table_facts(
    table: Table,
    frame: pl.LazyFrame,
    rows: int,
    partition: str | None,
    plot: str | None,
    refused: pl.LazyFrame | None = None,
) -> dict[str, Any]:
    """What is shown of one partition (or all) of a table.

    Parameters
    ----------
    plot
        The column to draw, if there are rows.
    refused
        Its quarantine, if it has one; of that the reasons are counted.
    """
    facts: dict[str, Any] = {
        "dagster/partition_row_count" if partition else "dagster/row_count": rows,
        "dagster/column_lineage": column_lineage(table),
        "preview": dg.MetadataValue.md(preview(frame)),
    }
    if refused is not None:
        reasons = refused.group_by("reason").len().sort(["len", "reason"], descending=[True, False])
        facts["quarantined"] = dg.MetadataValue.json(dict(reasons.collect(engine="streaming").iter_rows()))
    if plot and rows:
        facts["plot"] = dg.MetadataValue.md(column_plot(frame, plot, f"{table.name} by {plot}"))
    return facts


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


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """The columns of other tables that each column is made from; none for one that is made here."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(other), name) for other, name in origin.columns]
            for column, origin in origins(table).items()
        }
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
    labels = [_short(label) for label in labels]
    figure, axes = _axes(max(1.6, 0.3 * len(labels) + 0.9), labels, column)
    axes.barh(range(len(labels)), counts[::-1], color=_COLOUR)
    axes.set_yticks(range(len(labels)), labels[::-1])
    axes.bar_label(axes.containers[0], padding=2, fontsize=7)
    axes.margins(x=0.1)
    axes.set(title=title, xlabel="rows" if column else "", ylabel=column)
    return figure


def _histogram(values: pl.Series, column: str, title: str) -> Any:
    import numpy as np  # as `_axes` imports matplotlib

    figure, axes = _axes(2.4, ["1,000"], "rows")
    median, greatest = float(values.median() or 0), float(values.max() or 0)  # type: ignore[arg-type]
    if greatest > _SKEWED * max(1.0, median) and float(values.min() or 0) >= 0:  # type: ignore[arg-type]
        values, column = (values + 1).log(10), f"log10({column} + 1)"
    # One outline; a bar each, as of `axes.hist`, takes half as long again to draw.
    axes.stairs(*np.histogram(values.to_numpy(), bins=30), fill=True, color=_COLOUR)
    axes.set(title=title, xlabel=column, ylabel="rows")
    return figure


def share_plot(counts: Mapping[str, int], title: str) -> str:
    """Counts as bars, named; inline markdown."""
    return figure_markdown(_bars(list(counts), list(counts.values()), "", title))


def metrics_plot(metrics: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """The metrics that are shares, each with its interval where it has one; inline markdown.

    Differences between reports, and shares of parts such as `pass@1 (family)`, are left to the table.
    """
    shares = {n: m for n, m in metrics.items() if 0 <= m["value"] <= 1 and not _PARTIAL.search(n)}
    labels = [_short(name) for name in shares]
    figure, axes = _axes(max(1.6, 0.3 * len(shares) + 0.9), labels)
    for place, m in enumerate(reversed(shares.values())):
        if m.get("low") is not None:
            axes.plot([m["low"], m["high"]], [place, place], color=_COLOUR, linewidth=1.5)
        axes.plot([m["value"]], [place], "o", color=_COLOUR, markersize=4)
        axes.annotate(f"{m['value']:.3f}", (m["value"], place), (0, 4), textcoords="offset points", fontsize=7)
    axes.set_yticks(range(len(labels)), labels[::-1])
    axes.set(title=title, xlim=(-0.02, 1.12), ylim=(-0.5, max(1, len(shares)) - 0.3))
    axes.grid(alpha=0.3, axis="x")
    return figure_markdown(figure)


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"


def _axes(height: float, labels: Sequence[str], name: str = "") -> tuple[Any, Any]:
    """Axes of a figure of 6 inches, with room for labels and a name on the left, ticks below and a title above.

    The room is reckoned from the letters: to measure every text, as matplotlib's layouts do, takes as long as drawing.
    """
    # Imported here: drawing is not needed to load the definitions.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, height), dpi=90)
    left = 0.2 + 0.25 * bool(name) + _LETTER_INCHES * max(map(len, labels), default=0)
    return figure, figure.add_axes((left / 6, 0.5 / height, (5.85 - left) / 6, (height - 0.85) / height))


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
