"""Which assets `--select` means.

Belongs here: reading a selection, and what has to be made together. Does not belong here: what is stale (`runner`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import dagster as dg

_TERM = re.compile(r'(\d*\+)?("?)([A-Za-z_]\w*)\2(\+\d*)?')
_WORDS = ("and", "or", "not", "roots", "sinks")
_WITH_ALL_BEFORE = re.compile(r'(?<!\d)\+(?=["A-Za-z_])')


def select(definitions: dg.Definitions, selection: str) -> set[str]:
    """Names of the assets in a selection, with those that are made by the same function.

    The syntax is Dagster's (`+key:"x"`, `group:"models" or key:"y"`). A bare name is read as a key, so that
    `+x` means x and everything before it, as in the Dagster UI, and not one level of it. What the checks of those
    assets read belongs to it: without it they could not pass on a new root.

    Raises
    ------
    ValueError
        The selection cannot be read, or is of no asset.
    """
    graph = definitions.resolve_asset_graph()
    known = sorted(key.path[-1] for key in graph.materializable_asset_keys)

    def as_key(match: re.Match[str]) -> str:
        before, _, name, after = match.groups(default="")
        bare = name not in _WORDS and match.string[: match.start()][-1:] not in (":", "=", '"')
        followed = match.string[match.end() :][:1] in (":", "(", "=")
        return f'{before}key:"{name}"{after}' if bare and not followed else match.group()

    try:
        chosen = dg.AssetSelection.from_string(_TERM.sub(as_key, selection))
        if _WITH_ALL_BEFORE.search(selection):
            chosen = chosen | _read_by_checks(definitions, chosen.resolve(graph))
        found = {key.path[-1] for key in chosen.required_multi_asset_neighbors().resolve(graph)}
    except dg.DagsterError as error:
        raise ValueError(f"--select {selection!r}: {error}") from error
    if not found:
        raise ValueError(f"--select {selection!r} is of no asset; choose from {', '.join(known)}")
    return found


def _read_by_checks(definitions: dg.Definitions, keys: Iterable[dg.AssetKey]) -> dg.AssetSelection:
    """What the checks of some assets read beside them, with everything before it."""
    graph, chosen = definitions.resolve_asset_graph(), set(keys)
    specs = (graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key in chosen)
    return dg.AssetSelection.assets(*{dep.asset_key for spec in specs for dep in spec.additional_deps}).upstream()


def made_together(definitions: dg.Definitions, names: Iterable[str]) -> set[str]:
    """`names` and every other asset that a function of theirs makes: Dagster runs such a function whole."""
    graph = definitions.resolve_asset_graph()
    together = (graph.get(dg.AssetKey(name)).execution_set_asset_keys for name in names)
    return {key.path[-1] for keys in together for key in keys}


def checks_of(definitions: dg.Definitions, names: Iterable[str]) -> Mapping[str, list[str]]:
    """The names of each asset's checks."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for key in sorted(definitions.resolve_asset_graph().asset_check_keys):
        found.setdefault(key.asset_key.path[-1], []).append(key.name)
    return found
