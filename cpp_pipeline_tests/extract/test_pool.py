"""Work in processes that may die."""

from __future__ import annotations

import os

import pytest

from cpp_pipeline.extract.pool import Crash, guarded_map


def double_or_die(x: int) -> int:
    if x == 3:
        os._exit(1)
    return 2 * x


def fail(x: int) -> int:
    raise KeyError(x)


def test_one_worker_is_this_process() -> None:
    assert list(guarded_map(lambda x: (x, os.getpid()), [1, 2])) == [(1, os.getpid()), (2, os.getpid())]


def test_a_crash_costs_one_item_and_order_stays() -> None:
    found = list(guarded_map(double_or_die, range(6), workers=2))
    assert isinstance(found[3], Crash)
    assert [f for f in found if not isinstance(f, Crash)] == [0, 2, 4, 8, 10]


def test_an_error_of_ours_is_raised() -> None:
    with pytest.raises(KeyError):
        list(guarded_map(fail, [1], workers=2))
