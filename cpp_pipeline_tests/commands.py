"""The `cpp-pipeline` command in the process of the tests, for what it tells before a run begins.

Belongs here: calling it as its entry point does. Does not belong here: a run or a service, which get a process of
their own, because definitions keep the settings with which they were loaded.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from cpp_pipeline.cli import main


class Told(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def tell(*arguments: str) -> Told:
    """Call `cpp-pipeline` for a user who has set nothing; environment and logging are afterwards as before."""
    out, err = io.StringIO(), io.StringIO()
    dagster = logging.getLogger("dagster")
    level = dagster.level
    unset = {k: v for k, v in os.environ.items() if k != "DAGSTER_HOME" and not k.startswith("CPP_PIPELINE_PRES")}
    settings = {**unset, "CPP_PIPELINE_REAL_CPP": "0", "COLUMNS": "200"}
    with (
        patch.dict(os.environ, settings, clear=True),
        patch.object(sys, "argv", ["cpp-pipeline", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            dagster.setLevel(level)
    assert isinstance(code, int), code
    return Told(code, out.getvalue(), err.getvalue())
