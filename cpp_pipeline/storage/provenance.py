"""What a table or folder was made from, as it is kept with the data; and the names by which both kinds keep it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOOTER_KEY = "cpp_pipeline"
"""Key of a table's provenance in its parquet footer."""
RESULT = "result.json"
"""The manifest of a finished folder; provenance is in it."""
KINDS = ("checkpoints", "shards", "reports")


@dataclass(frozen=True)
class Provenance:
    """What a table or folder was made from; kept inside it."""

    asset: str
    partition: str | None
    code_version: str
    config_digest: str
    inputs_digest: str
    data_version: str
    rows: int | None = None


def footer(provenance: Provenance) -> dict[str, str]:
    """Provenance for a parquet footer."""
    return {FOOTER_KEY: json.dumps(asdict(provenance), sort_keys=True)}


def stamp_manifest(work: Path, provenance: Provenance) -> dict[str, Any]:
    """Write provenance into the manifest of a finished work folder; returns the manifest."""
    manifest = json.loads((work / RESULT).read_text())
    manifest["provenance"] = asdict(provenance)
    replacement = work / f".{RESULT}.tmp"
    replacement.write_text(json.dumps(manifest, indent=1, sort_keys=True))
    replacement.replace(work / RESULT)
    return dict(manifest)


def of_manifest(manifest: Mapping[str, Any], folder: object) -> Provenance:
    """Provenance out of a manifest. Raises ValueError, with the remedy, when there is none."""
    if "provenance" not in manifest:
        raise ValueError(f"{folder}/{RESULT} does not say what it was made from: delete {folder}")
    return Provenance(**manifest["provenance"])
