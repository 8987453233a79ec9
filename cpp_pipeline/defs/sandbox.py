"""Sandbox: is every verdict of this machine to be believed?"""

import dagster as dg
import polars as pl

from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline.sandbox.canaries import MODES, run_canaries, summary
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.assets import table_asset

JUDGED = [mode for mode in MODES if mode != "exit_code" or PRESET.every_canary]
"""Modes that are asked about."""
IN_TURN = not PRESET.every_canary
"""Whether an attack, or a correct program, is judged in one of its modes instead of in all."""


@table_asset(
    "sandbox_canaries",
    group="sandbox",
    kinds={"cpp"},
    code=["sandbox"],
    config={"modes": JUDGED, "in_turn": IN_TURN},
    resources=frozenset({"sandbox"}),
    plots={"sandbox_canaries": "verdict"},
)
def sandbox_canaries(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Judge programs of known verdict in every mode, and attacks; as a control the same attacks by exit code."""
    with context.resources.sandbox.client() as client:
        rows = run_canaries(client, JUDGED, IN_TURN)
    for line in summary(rows):
        context.log.info(line)
    return TABLES["sandbox_canaries"].frame(rows)
