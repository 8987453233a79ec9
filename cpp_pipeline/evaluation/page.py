"""One self-contained HTML page from tables, plots and code.

Belongs here: markup and figures. Does not belong here: which numbers are shown (`reports`).
matplotlib and numpy are imported when a figure is drawn, so that importing this module stays cheap.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

Metrics = Mapping[str, Mapping[str, Any]]

INK, SOFT = "#4f6d9b", "#b9c6da"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #d5dce5 }
th { text-align: left } td.n { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f4f6f9; padding: .7rem; overflow-x: auto } img { max-width: 100% } .note { color: #55606e }
"""


def page(title: str, *blocks: str) -> str:
    """The whole document."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>{''.join(blocks)}</body></html>\n"
    )


def heading(text: str) -> str:
    """A section heading."""
    return f"<h2>{html.escape(text)}</h2>"


def note(text: str) -> str:
    """A paragraph of explanation."""
    return f'<p class="note">{html.escape(text)}</p>'


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers stand right, floats get three decimals."""
    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td{' class=n' if number else ''}>{html.escape(shown(value))}</td>"


def shown(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def metrics_table(metrics: Metrics) -> str:
    """Metrics with intervals."""
    rows = [(name, m["value"], interval(m), m.get("n")) for name, m in metrics.items()]
    return table(("metric", "value", "95 % interval", "n"), rows)


def interval(metric: Mapping[str, Any]) -> str:
    """`low to high`, or nothing."""
    low, high = metric.get("low"), metric.get("high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def code(title: str, text: str) -> str:
    """A titled block of code."""
    return f"<p><b>{html.escape(title)}</b></p><pre>{html.escape(text)}</pre>"


def bars(title: str, label: str, counts: Mapping[str, float]) -> str:
    """Horizontal bars, the first on top."""
    figure, axes = _figure(max(1.8, 0.32 * len(counts) + 1.0))
    names, values = list(counts), list(counts.values())
    axes.barh(names[::-1], values[::-1], color=INK)
    axes.bar_label(axes.containers[0], labels=[shown(v) for v in values[::-1]], padding=3, fontsize=8)
    axes.margins(x=0.12)
    axes.set(title=title, xlabel=label)
    return _image(figure, title)


def points(title: str, label: str, metrics: Metrics, zero_line: bool = False) -> str:
    """Values with their intervals, one line each, the first on top."""
    figure, axes = _figure(max(1.8, 0.4 * len(metrics) + 1.0))
    for height, m in enumerate(reversed(list(metrics.values()))):
        low, high = (m["value"] if m.get(end) is None else m[end] for end in ("low", "high"))
        axes.plot([low, high], [height, height], color=SOFT, linewidth=5, solid_capstyle="round")
        axes.plot([m["value"]], [height], "o", color=INK)
        axes.annotate(
            f"{m['value']:.3f}", (m["value"], height), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_yticks(range(len(metrics)), list(metrics)[::-1])
    axes.set_ylim(-0.6, len(metrics) - 0.3)
    axes.margins(x=0.08)
    if zero_line:
        axes.axvline(0, color="#8b95a3", linewidth=1, linestyle="--")
    axes.set(title=title, xlabel=label)
    return _image(figure, title)


def histogram(title: str, label: str, count_label: str, values: Sequence[float], bins: int = 20) -> str:
    """How values between 0 and 1 are distributed."""
    import numpy as np

    figure, axes = _figure(2.6)
    axes.stairs(*np.histogram(values, bins=bins, range=(0, 1)), fill=True, color=INK)
    axes.set(title=title, xlabel=label, ylabel=count_label)
    return _image(figure, title)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _image(figure: Any, title: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<p><img alt="{html.escape(title)}" src="data:image/png;base64,{data}"></p>'
