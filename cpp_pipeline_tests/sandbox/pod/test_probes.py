"""The probe of a pod that looks for the memory of other processes: it finds one that can be had, and itself is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation.launcher import build
from cpp_pipeline_tests.sandbox.pod.containers import skip_without_root


@pytest.mark.parametrize(
    ("around", "found"), [([], "open"), (["unshare", "--pid", "--fork", "--mount-proc"], "closed")]
)
def test_memory_of_others_is_found_where_there_are_others(tmp_path: Path, around: list[str], found: str) -> None:
    skip_without_root()
    command = [*around, str(build("probe.c", tmp_path)), "others"]
    done = subprocess.run(command, input=f"{tmp_path}/none\n".encode(), capture_output=True, check=True)
    assert done.stdout == f"memory_of_others {found}\nrunner_socket closed\n".encode()
