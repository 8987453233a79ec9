"""Damaged frames for both decoders and requests that nobody would send: the slow tests of the room, run and counted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import cpp_pipeline_tests.sandbox
from benchmarks.common.rows import Options, Row

_FILES = ("judging/test_decoders.py", "controller/test_api_fuzz.py")


def run(options: Options) -> list[Row]:
    """One row for each test, with the seconds that it took."""
    folder = Path(cpp_pipeline_tests.sandbox.__path__[0])
    marker = options.size("slow", "not slow")
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as scratch:
        found = Path(scratch, "report.xml")
        order = [sys.executable, "-m", "pytest", "-q", "-m", marker, f"--junitxml={found}", "-p", "no:cacheprovider"]
        files = [str(folder / name) for name in _FILES]
        done = subprocess.run([*order, *files], capture_output=True, text=True, check=False, cwd=folder.parents[1])
        if not found.is_file():
            raise RuntimeError(f"the tests did not run: {(done.stdout + done.stderr)[-2000:]}")
        cases = list(ElementTree.parse(found).iter("testcase"))
    return [_row(case) for case in cases]


def _row(case: ElementTree.Element) -> Row:
    trouble = [f"{child.tag}: {(child.get('message') or '')[:500]}" for child in case if child.tag != "system-out"]
    what = case.attrib["name"].removeprefix("test_").replace("_", " ")
    seconds = f"{float(case.attrib['time']):.0f} s on the wall"
    return Row("sandbox_fuzz", what, seconds, bar="no crash, no hang", ok=not trouble, details=trouble)
