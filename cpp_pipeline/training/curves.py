"""Learning curves of `metrics.jsonl` as an inline picture."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

PANELS = ("loss", "reward", "accuracy", "clip_fraction", "tokens_per_second")


def loss_curve(metrics: Path, title: str) -> str:
    """Draw the numbers that the stage logged over its steps, as inline markdown."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    panels = [p for p in PANELS if any(isinstance(r.get(p), int | float) for r in rows)][:3]
    figure = Figure(figsize=(4 * max(1, len(panels)), 2.6), dpi=90, layout="constrained")
    for axes, panel in zip(figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False):
        points = [(r["step"], r[panel]) for r in rows if isinstance(r.get(panel), int | float)]
        axes.plot([x for x, _ in points], [y for _, y in points], color="#4f6d9b", linewidth=1.2)
        axes.set(title=panel, xlabel="step")
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![curve](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
