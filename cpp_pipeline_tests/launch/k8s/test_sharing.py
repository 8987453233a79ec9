"""How the step pods of all runs are bounded, and why neither by a pool nor in a run that is taken up again."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.retries import RetryMode
from dagster_shared.check import CheckError

from cpp_pipeline.launch.k8s.executor import SharingExecutor, share_of_a_run
from cpp_pipeline.launch.steps import step_options
from cpp_pipeline.settings import Settings
from cpp_pipeline_tests.cluster.fixtures import IMAGE

POOL = "steps"


@pytest.mark.parametrize(
    ("bound", "runs", "share"), [(32, 16, 2), (16, 16, 1), (20, 16, 1), (0, 16, None), (3, None, 3), (3, -1, 3)]
)
def test_each_run_has_an_equal_share_of_the_bound(bound: int, runs: int | None, share: int | None) -> None:
    plain = {"run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}}
    queue = {"concurrency": {"runs": {"max_concurrent_runs": runs}}}
    with dg.instance_for_test(overrides=queue if runs else plain) as asked:
        assert share_of_a_run(bound, asked) == share


def test_fewer_pods_than_runs_are_refused() -> None:
    queue = {"concurrency": {"runs": {"max_concurrent_runs": 16}}}
    with dg.instance_for_test(overrides=queue) as asked, pytest.raises(dg.Failure) as caught:
        share_of_a_run(2, asked)
    assert all(word in str(caught.value.description) for word in ("CPP_PIPELINE_MAX_CONCURRENT=2", "maxConcurrentRuns"))


def replayed(used: dg.DagsterInstance, job: dg.JobDefinition, steps: str, **bounds: Any) -> bool:
    """Whether a run that did these steps, in this order, comes to its end when it is taken up after them."""
    done = job.execute_in_process(instance=used)
    run = used.get_run_by_id(done.run_id)
    assert done.success and run is not None
    events = [event for step in steps.split() for event in done.all_events if event.step_key == step]
    used.event_log_storage.claim_concurrency_slot(POOL, "another run", "step")
    with (
        InstanceConcurrencyContext(used, run) as slots,
        ActiveExecution(
            create_execution_plan(job), RetryMode.ENABLED, instance_concurrency_context=slots, **bounds
        ) as again,
    ):
        return again.rebuild_from_events(events) == [] and again.is_complete


@pytest.mark.parametrize("bounds", [{"max_concurrent": 2}, {}], ids=["2", "any"])
def test_a_run_that_is_taken_up_again_may_have_no_bound(bounds: dict[str, int]) -> None:
    """Two steps ended between two looks, and three followed: the replay, which looks after each, takes others first."""
    names = {name: dg.op(name=name)(lambda value=0: value) for name in ("a", "b", "w", "x", "y")}

    @dg.job
    def diamond() -> None:
        a, b = names["a"](), names["b"]()
        names["w"](b), names["x"](a), names["y"](a)

    with dg.instance_for_test() as used:
        if bounds:
            with pytest.raises(CheckError, match="not known to be in flight"):
                replayed(used, diamond, "a b w x y", **bounds)
        else:
            assert replayed(used, diamond, "a b w x y")


def test_nor_may_its_steps_be_in_a_pool() -> None:
    """Why there is no pool of slots. Should this fail with another Dagster: use one for what `share_of_a_run` does."""

    @dg.op(pool=POOL)
    def one() -> None: ...

    @dg.job
    def pooled() -> None:
        one()

    with dg.instance_for_test() as used:
        used.event_log_storage.set_concurrency_slots(POOL, 1)
        with pytest.raises(CheckError, match="not known to be in flight"):
            replayed(used, pooled, "one")


def test_so_the_executor_gives_it_none() -> None:
    asked: list[int | None] = []

    class Asked(dg.Executor):
        retries = RetryMode.ENABLED

        def __init__(self, bound: int | None) -> None:
            self.bound = bound

        def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
            asked.append(self.bound)
            yield from ()

    for again in (False, True):
        plan: Any = SimpleNamespace(resume_from_failure=again)
        assert list(SharingExecutor(Asked, 2).execute(plan, plan)) == []
    assert asked == [2, None]


def test_a_step_that_was_tried_again_does_not_hinder_it() -> None:
    tries = []
    settings = Settings(executor="k8s", k8s_image=IMAGE, step_retries=2)

    @dg.op(retry_policy=step_options("one", settings).retry_policy)
    def one() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the bucket was away")

    @dg.job
    def unlucky() -> None:
        one()

    with dg.instance_for_test() as used:
        assert replayed(used, unlucky, "one")
    assert len(tries) == 2
