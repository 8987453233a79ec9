"""The queue's bound and the time until there is room, for any order of work."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.controller.admission import Admission, QueueFull, Ticket
from cpp_pipeline.sandbox.metrics import Metrics

COST = st.floats(0.01, 50)
STEPS = st.lists(st.one_of(st.tuples(st.just("admit"), COST, st.integers(1, 5)), st.just("done"), st.just("close")))


@given(STEPS, st.integers(1, 4))
def test_bound_holds_and_what_is_given_back_is_what_was_let_in(steps: list[object], workers: int) -> None:
    metrics = Metrics()
    admission = Admission(workers, 20.0, metrics, clock=lambda: 0.0)
    inside: list[tuple[Ticket, float, int]] = []
    for step in steps:
        queued = sum(cost * left for _, cost, left in inside)
        if isinstance(step, tuple):
            _, cost, jobs = step
            try:
                inside.append((admission.admit(cost, jobs), cost / jobs, jobs))
            except QueueFull as refused:
                assert queued > 0
                assert queued + cost > admission.bound - 1e-6
                # at the pace of all workers, the room is there by then
                assert queued - refused.retry_after * workers <= max(0.0, admission.bound - cost) + 1e-6
                assert refused.retry_after >= 1
            else:
                assert len(inside) == 1 or queued + cost <= admission.bound + 1e-6
        elif inside:
            ticket, cost, left = inside.pop(0)
            if step == "close" or left == 1:
                ticket.close()
            else:
                ticket.done()
                inside.append((ticket, cost, left - 1))
        assert metrics.value("sandbox_queue_depth") == sum(left for *_, left in inside)
        expected = sum(cost * left for _, cost, left in inside)
        assert math.isclose(metrics.value("sandbox_queue_cpu_seconds"), expected, abs_tol=1e-6)
    for ticket, *_ in inside:
        ticket.close()
        ticket.close()
        ticket.done()
    assert metrics.value("sandbox_queue_depth") == metrics.value("sandbox_queue_cpu_seconds") == 0


@pytest.mark.parametrize(("seconds_per_job", "wait"), [(1.0, 40), (4.0, 160), (0.25, 10)])
def test_time_until_there_is_room_follows_the_speed_seen_so_far(seconds_per_job: float, wait: int) -> None:
    now = 0.0
    admission = Admission(2, 500.0, Metrics(), clock=lambda: now)
    ticket = admission.admit(1080.0, 1080)
    for _ in range(1000):
        now += seconds_per_job / 2  # two workers
        ticket.done()
    with pytest.raises(QueueFull) as refused:
        admission.admit(1000.0)
    assert wait <= refused.value.retry_after <= wait + 1
