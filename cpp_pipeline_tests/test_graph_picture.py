"""The picture of the graph in the docs is the one of the definitions."""

import xml.etree.ElementTree as ET
from pathlib import Path

from cpp_pipeline.graph_picture import shown

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "graph.svg"
RENEW = "renew it: python -m cpp_pipeline.graph_picture docs/graph.svg"
G, TITLE = "{http://www.w3.org/2000/svg}g", "{http://www.w3.org/2000/svg}title"


def drawn(kind: str) -> dict[str, str]:
    """What the picture holds of a kind (node, edge): its title and the rest of its class."""
    groups = [(g.get("class", "").partition(" "), g.findtext(TITLE) or "") for g in ET.parse(PICTURE).iter(G)]
    return {title: rest for (first, _, rest), title in groups if first == kind}


def test_the_picture_shows_the_definitions() -> None:
    from cpp_pipeline.definitions import defs

    assets = shown(defs())
    assert drawn("node") == {name: asset.group for name, asset in assets.items()}, RENEW
    assert set(drawn("edge")) == {f"{i}->{name}" for name, asset in assets.items() for i in asset.inputs}, RENEW
