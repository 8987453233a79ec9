"""Between Dagster's asset specs and `currency.Recipe`."""

from __future__ import annotations

import dagster as dg

from cpp_pipeline.storage.currency import Recipe

CONFIG = "cpp_pipeline/config_digest"


def recipe_of(spec: dg.AssetSpec) -> Recipe:
    """What decides how the asset is made, read from its spec."""
    return Recipe(
        asset=spec.key.path[-1],
        inputs=tuple(sorted(dep.asset_key.path[-1] for dep in spec.deps)),
        code_version=spec.code_version or "",
        config_digest=str(spec.metadata.get(CONFIG, "")),
    )
