"""The README's table of assets is that of the definitions, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from cpp_pipeline.schemas import TABLES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
FOLDERS = {"data/checkpoints/", "data/shards/", "data/reports/"}


def rows() -> list[tuple[list[str], list[str], str]]:
    """Of each row of the table: assets, paths of their code, folder of their data."""
    table = README.split("| asset |")[1].split("\n\n")[0].splitlines()[2:]
    found = []
    for line in table:
        assets, _meaning, code, data = (re.findall(r"`([^`]+)`", cell) for cell in line.strip("| ").split("|"))
        found.append((assets, code, data[0]))
    return found


def test_the_table_names_every_asset_once() -> None:
    from cpp_pipeline.definitions import defs

    known = {spec.key.path[-1] for spec in defs().resolve_all_asset_specs()}
    named = [asset for assets, _, _ in rows() for asset in assets]
    assert sorted(named) == sorted(name for name in known if not name.endswith("_quarantine"))


def test_the_table_says_where_code_and_data_lie() -> None:
    for assets, code, data in rows():
        assert code and all((ROOT / path).exists() for path in code), code
        for asset in assets:
            assert data == "data/tables/" if asset in TABLES else data in FOLDERS, asset


def test_what_is_linked_or_named_is_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    named = re.findall(r"`((?:docs|scripts|k8s|cpp_pipeline)/[\w./-]*)`", README)
    assert linked and named
    assert [path for path in [*linked, *named] if "://" not in path and not (ROOT / path).exists()] == []


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = README + (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"^make ([a-z][\w-]*)", pages, re.MULTILINE)) <= targets
