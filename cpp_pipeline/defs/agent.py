"""Agent: what the router learns from, and the tasks that the whole agent is measured on."""

import dagster as dg
import polars as pl

from cpp_pipeline.agent.problems import agent_problems as tasks
from cpp_pipeline.agent.router_data import router_rows
from cpp_pipeline.defs.resources import PRESET, SETTINGS
from cpp_pipeline.storage.assets import table_asset

_ROUTER_ROWS = 40 * PRESET.cmake_train


@table_asset(
    "router_sft",
    group="agent",
    kinds={"polars"},
    code=["agent/router_data.py", "agent/router_phrases.py", "agent/functiongemma.py", "agent/tools.py"],
    config={"rows": _ROUTER_ROWS, "seed": SETTINGS.seed},
    plots={"router_sft": "tool"},
)
def router_sft(context: dg.AssetExecutionContext) -> pl.LazyFrame:
    """Generate requests and the calls they should lead to."""
    return router_rows(_ROUTER_ROWS, SETTINGS.seed)


@table_asset(
    "agent_problems",
    group="agent",
    kinds={"polars"},
    code=["agent/problems.py", "agent/inputs.py", "agent/tools.py", "problems/tests.py"],
    config={"n": PRESET.agent_problems, "seed": SETTINGS.seed},
    plots={"agent_problems": "tool"},
)
def agent_problems(
    context: dg.AssetExecutionContext, eval_problems: pl.LazyFrame, cmake_problems: pl.LazyFrame
) -> pl.LazyFrame:
    """Draw end-to-end tasks from held-out problems and projects."""
    return tasks(eval_problems, cmake_problems, PRESET.agent_problems, SETTINGS.seed)
