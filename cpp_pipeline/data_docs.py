"""`docs/data.md`: every table as it is declared.

    python -m cpp_pipeline.data_docs > docs/data.md

Belongs here: laying the declarations out for people. Does not belong here: what is said of a table (`schemas/`), of
an asset (`defs/`).
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from cpp_pipeline.schemas import TABLES, Column, Table
from cpp_pipeline.schemas.lineage import Origin, origins

COMMAND = "python -m cpp_pipeline.data_docs > docs/data.md"
_HEAD = f"""# Tables

Written by `{COMMAND}` from `cpp_pipeline/schemas/`; a test fails when it is out of date.

A table lies in `<root>/tables/<table>/`, as `<dump>.parquet` for each dump when it is partitioned and as `all.parquet`
when it is joined over all dumps. The check `fits_schema` holds each to what is said here before anything is made from
it; floats are finite. "from" names the columns of other tables that a column is made from; without any it is made here.
"""


def text(specs: dict[str, dg.AssetSpec]) -> str:
    """The whole page; `specs` are those of all assets, by name."""
    groups = {name: str(specs[name].group_name) for name in TABLES}
    lines = [_HEAD]
    for group in dict.fromkeys(groups.values()):
        names = [name for name in TABLES if groups[name] == group]
        lines += [f"* {group}: " + ", ".join(f"[{name}](#{name})" for name in names)]
    for name, table in TABLES.items():
        lines += ["", *_table(table, groups[name])]
    return "\n".join(lines) + "\n"


def _table(table: Table, group: str) -> Iterator[str]:
    kind = "one file a dump" if table.partitioned else "joined"
    key = f"key {', '.join(f'`{k}`' for k in table.key)}" if table.key else f"no key: {table.no_key}"
    yield from (f"## {table.name}", "", table.description, "", f"Group {group}, {kind}, {key}.", "")
    yield from ("| column | type | values | meaning | from |", "|---|---|---|---|---|")
    found = origins(table)
    for column in table.columns:
        cells = (f"`{column.name}`", str(column.dtype), _values(column), column.description, _from(found[column.name]))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(column: Column) -> str:
    said = ["null"] if column.nullable else []
    if column.isin is not None:
        said.append(", ".join(column.isin))
    low, high = (None if limit is None else f"{limit:g}" for limit in (column.ge, column.le))
    if low is not None and high is not None:
        said.append(f"{low} to {high}")
    elif low is not None:
        said.append(f">= {low}")
    elif high is not None:
        said.append(f"<= {high}")
    return "; ".join(said)


def _from(origin: Origin) -> str:
    words = origin.words
    for table, column in dict.fromkeys(origin.columns):
        words = words.replace(f"{table}.{column}", f"`{table}.{column}`")
    return words


def main() -> None:
    """Print the page."""
    from cpp_pipeline.definitions import defs

    specs = {spec.key.path[-1]: spec for spec in defs().resolve_all_asset_specs()}
    print(text(specs), end="")


if __name__ == "__main__":
    main()
