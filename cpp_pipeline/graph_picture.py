"""The picture of the asset graph, drawn from the definitions: `python -m cpp_pipeline.graph_picture docs/graph.svg`.

Belongs here: what the picture shows and leaves out. Graphviz (Debian's `graphviz`) decides where it stands.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

COLOURS = {
    "ingest": "#dbe7f5",
    "curate": "#d5eef0",
    "pairs": "#d9f0d8",
    "sandbox": "#f8d7d3",
    "problems": "#fbe3c4",
    "corpus": "#fff3bf",
    "models": "#e3d9f3",
    "rollouts": "#f6d9e9",
    "agent": "#e4e4e4",
    "evals": "#d3dbe6",
}
QUARANTINE = "_quarantine"


@dataclass(frozen=True)
class Shown:
    """An asset of the picture. `inputs` are those that do not follow from other arrows."""

    group: str
    partitioned: bool
    inputs: frozenset[str]


def shown(definitions: dg.Definitions) -> dict[str, Shown]:
    """Every asset but the quarantine tables, by name, parents first."""
    specs = {s.key.path[-1]: s for s in definitions.resolve_all_asset_specs()}
    order = [k.path[-1] for k in definitions.resolve_asset_graph().toposorted_asset_keys]
    above: dict[str, set[str]] = {}
    found = {}
    for name in order:
        if name.endswith(QUARANTINE):
            continue
        spec = specs[name]
        inputs = {d.asset_key.path[-1] for d in spec.deps}
        implied = set().union(*(above[i] for i in inputs))
        above[name] = implied | inputs
        found[name] = Shown(spec.group_name or "", spec.partitions_def is not None, frozenset(inputs - implied))
    return found


def dot(assets: Mapping[str, Shown]) -> str:
    """The picture in Graphviz's language."""
    return "\n".join(["digraph assets {", *_lines(assets), "}"])


def _lines(assets: Mapping[str, Shown]) -> Iterator[str]:
    yield 'graph [rankdir=TB, nodesep=0.16, ranksep=0.3, bgcolor=white, pad=0.2, tooltip=" ", labelloc=t,'
    yield f'  fontname="Helvetica,Arial,sans-serif", fontsize=12, label=<{_legend()}>]'
    yield 'node [shape=box, style="filled,rounded", color="#6b7785", fontname="Helvetica,Arial,sans-serif",'
    yield '  fontsize=12, height=0.34, margin="0.12,0.04", tooltip=" "]'
    yield 'edge [color="#7b8794", arrowsize=0.6, penwidth=0.9, tooltip=" "]'
    for name, asset in assets.items():
        double = ", peripheries=2" if asset.partitioned else ""
        yield f'{name} [fillcolor="{COLOURS[asset.group]}", class="{asset.group}"{double}]'
    for name, asset in assets.items():
        for parent in sorted(asset.inputs):
            yield f"{parent} -> {name}"


def _legend() -> str:
    """The colours of the groups, as one of Graphviz's tables."""
    cells = "".join(f'<TD BGCOLOR="{colour}" WIDTH="66">{group}</TD>' for group, colour in COLOURS.items())
    double = f'<TR><TD COLSPAN="{len(COLOURS)}">double frame: one partition for each dump</TD></TR>'
    return f'<TABLE BORDER="0" CELLSPACING="3" CELLPADDING="4"><TR>{cells}</TR>{double}</TABLE>'


def draw(definitions: dg.Definitions, target: Path) -> None:
    """Write the picture as SVG.

    Raises
    ------
    RuntimeError
        Graphviz is not there, or refuses.
    """
    try:
        done = subprocess.run(
            ["dot", "-Tsvg"], input=dot(shown(definitions)), capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise RuntimeError("dot is not installed: sudo apt-get install -y graphviz") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"dot failed: {error.stderr}") from None
    target.write_text(done.stdout)


if __name__ == "__main__":
    from cpp_pipeline.definitions import defs

    draw(defs(), Path(sys.argv[1]))
