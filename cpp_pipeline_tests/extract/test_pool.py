"""Work in processes that may die."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cpp_pipeline.extract import pool
from cpp_pipeline.extract.pool import Crash, guarded_batches, guarded_map

ROOT = Path(__file__).resolve().parents[2]


def double_or_die(x: int) -> int:
    if x == 3:
        os._exit(1)
    return 2 * x


def fail(x: int) -> int:
    raise KeyError(x)


def allocate(gigabytes: int) -> int:
    return len(bytearray(gigabytes << 30))


def spin(forever: bool) -> bool:
    while forever:
        pass
    return True


def address_space(_: int) -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def total_or_die(batch: Sequence[int]) -> int:
    return sum(double_or_die(x) for x in batch)


KILLED = """
import os, signal, sys
from cpp_pipeline.extract.pool import guarded_batches
from cpp_pipeline_tests.extract.test_pool import pid_of

def work():
    pids = [pid for _, pid in guarded_batches(pid_of, batches(), workers=2)]

def batches():
    for batch in range(4):
        yield [batch]
    print(*seen(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def seen():
    # children of the server that forks the workers, while they wait for work
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        if int(fields[2]) == os.getpgid(0) and int(pid) != os.getpid():
            yield pid

if __name__ == "__main__":
    work()
"""


def pid_of(_: Sequence[int]) -> int:
    return os.getpid()


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    killed = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pids = killed.stdout.split()
    assert len(pids) >= 2
    deadline = time.monotonic() + 30
    while (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_without_workers_it_is_this_process() -> None:
    assert list(guarded_map(lambda x: (x, os.getpid()), [1, 2], workers=0)) == [(1, os.getpid()), (2, os.getpid())]


@pytest.mark.parametrize(("workers", "batch_items"), [(1, 16), (2, 2), (2, 1)])
def test_a_crash_costs_one_item_and_order_stays(workers: int, batch_items: int) -> None:
    found = list(guarded_map(double_or_die, range(9), workers, batch_items))
    assert isinstance(found[3], Crash)
    assert [f for f in found if not isinstance(f, Crash)] == [0, 2, 4, 8, 10, 12, 14, 16]


def test_batches_come_whole_but_for_the_broken_one() -> None:
    found = list(guarded_batches(total_or_die, [[1, 2], [3, 4], [5, 6]], workers=1))
    assert found[0] == ([1, 2], 6)
    crashed = {tuple(batch): result for batch, result in found if isinstance(result, Crash)}
    assert crashed.keys() == {(3,)}
    assert sum(r for _, r in found if not isinstance(r, Crash)) == 2 * (1 + 2 + 4 + 5 + 6)


def test_too_much_memory_costs_one_item() -> None:
    found = list(guarded_map(allocate, [0, 5, 0], workers=1))
    assert [isinstance(f, Crash) for f in found] == [False, True, False]
    assert "out of memory" in str(found[1])
    assert list(guarded_map(address_space, [1], workers=1)) == [4 << 30]


def test_a_hang_costs_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_limited", _limited_shortly)
    found = list(guarded_map(spin, [False, True, False], workers=1))
    assert [isinstance(f, Crash) for f in found] == [False, True, False]


def _limited_shortly(function, batch):  # type: ignore[no-untyped-def]
    pool.BATCH_CPU_SECONDS = 0.3
    return pool._limited(function, batch)


def test_an_error_of_ours_is_raised() -> None:
    with pytest.raises(KeyError):
        list(guarded_map(fail, [1], workers=1))
