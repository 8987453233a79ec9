"""Functions of many numbers are as exact at their first call as at every later one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROCESSES, FORKS = 4, 300
"""Of so many first calls, a handful went wrong on two cores before this was guarded against; see `models.build`."""
SCRIPT = """
import os, sys, torch
import cpp_pipeline.models.build
wrong = 0
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        torch.set_num_threads(2)
        numbers = torch.rand(32_768, generator=torch.Generator().manual_seed(0))
        equal = [torch.equal(f(numbers), f(numbers)) for f in (torch.acos, torch.sin, torch.log, torch.exp)]
        os._exit(0 if all(equal) else 1)
    wrong += os.waitpid(child, 0)[1] != 0
print(wrong)
"""


@pytest.mark.slow
def test_the_first_call_by_several_threads_gives_what_later_ones_give() -> None:
    command = [sys.executable, "-c", SCRIPT, str(FORKS)]
    # more threads than cores: they have to come at different moments
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    assert [process.communicate()[0].strip() for process in running] == ["0"] * PROCESSES
