"""Ways to judge a candidate that is no function called over the pipe.

Belongs here: one module a mode. Not here: which mode judges a job (`cases`), and functions over the pipe (`workbench`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cpp_pipeline.sandbox.judging.cases import Case, Outcome, Tools
from cpp_pipeline.sandbox.judging.modes.in_process import judge_in_process
from cpp_pipeline.sandbox.judging.modes.stdio import judge_stdio

MODES: Mapping[str, Callable[[Case, Tools], Outcome]] = {
    "stdio": judge_stdio,
    "inproc": judge_in_process,
    "exit_code": judge_in_process,
}
"""Each raises IsolationError or ToolchainError where the trouble is the machine's."""
