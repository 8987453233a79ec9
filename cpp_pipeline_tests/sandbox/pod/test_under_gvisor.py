"""The two containers in one gVisor sandbox, with the compilers and the project of this machine."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from cpp_pipeline_tests.sandbox.pod.gvisor import (
    Container,
    gvisor_pod,
    judged_wrongly,
    root_of_this_machine,
    skip_without_gvisor,
)

_MODULE = [sys.executable, "-m", "cpp_pipeline.sandbox.pod"]
CONTAINERS = {
    "runner": Container(1000, [*_MODULE, "runner"]),
    "judge": Container(1001, [*_MODULE, "judge", "--host", "127.0.0.1"]),
}


@pytest.mark.slow
def test_the_pod_proves_itself_and_judges_under_gvisor() -> None:
    skip_without_gvisor()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with gvisor_pod(root_of_this_machine(Path(name)), CONTAINERS) as pod:
            assert judged_wrongly(pod, "rpc") == set()
