"""A job of small assets whose steps are pods; run by tests, and loaded again inside the pods."""

import os
import time
from pathlib import Path

import dagster as dg
from dagster._core.execution.api import execute_run_iterator

from cpp_pipeline.launch.k8s.executor import step_executor
from cpp_pipeline.settings import Settings

DUMPS = dg.StaticPartitionsDefinition(["a", "b", "c"])
FOLDER = "STEPPING_FOLDER"
"""Variable that names a folder which the test and the pods share."""


def work(name: str, seconds: float) -> None:
    """Leave a line when the work begins and one when it ends."""
    log = Path(os.environ[FOLDER]) / "log"
    for what in ("begin", "end"):
        with log.open("a") as out:
            out.write(f"{what} {name}\n")
        if what == "begin":
            time.sleep(60.0 if (log.parent / f"stuck-{name}").exists() else seconds)


@dg.asset(partitions_def=DUMPS)
def files(context: dg.AssetExecutionContext) -> None:
    """One step a dump."""
    work(context.partition_key, 0.1)


def side(name: str) -> dg.AssetsDefinition:
    """An asset that depends on nothing."""

    @dg.asset(name=name, retry_policy=dg.RetryPolicy(max_retries=1))
    def made() -> None:
        work(name, 2.0)

    return made


def definitions() -> dg.Definitions:
    """As the project's own: the executor comes from the settings."""
    return dg.Definitions(
        assets=[files, *map(side, ("one", "two", "three"))],
        jobs=[
            dg.define_asset_job("dumps", [files]),
            dg.define_asset_job("sides", ["one", "two", "three"]),
        ],
        executor=step_executor(Settings.from_env(), patience_seconds=5.0),
    )


def dumps() -> dg.JobDefinition:
    """One step, of one dump."""
    return definitions().resolve_job_def("dumps")


def sides() -> dg.JobDefinition:
    """Three steps that could all run at once."""
    return definitions().resolve_job_def("sides")


def run_sides() -> None:
    """A run of the three, in a process of its own, recorded in `DAGSTER_HOME`; ends the process."""
    with (
        dg.DagsterInstance.get() as home,
        dg.execute_job(dg.reconstructable(sides), home, raise_on_error=False) as done,
    ):
        raise SystemExit(0 if done.success else 1)


def take_up() -> None:
    """Go on with the only run of `DAGSTER_HOME`, as the pod does that run monitoring starts when a run lost its own."""
    with dg.DagsterInstance.get() as home:
        (run,) = home.get_runs()
        list(execute_run_iterator(dg.reconstructable(sides), run, home, resume_from_failure=True))
