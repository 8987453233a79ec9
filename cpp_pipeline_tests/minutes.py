"""The minutes of each folder of tests, told at the end of a run.

Belongs here: adding up what pytest measured. Does not belong here: a limit; nothing is asserted of time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

PACKAGE = "cpp_pipeline_tests"


def minutes(reports: Iterable[pytest.TestReport]) -> list[tuple[str, int, float]]:
    """(folder, tests, minutes) of the reports of a run, the longest first; a test has a report a phase.

    Fixtures count where they are set up. With several processes these are minutes of all of them together.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for report in reports:
        parts = report.nodeid.split("::")[0].removeprefix(f"{PACKAGE}/").split("/")
        folder = parts[0] if len(parts) > 1 else "(top)"
        seconds[folder] += report.duration
        tests[folder].add(report.nodeid)
    found = [(folder, len(tests[folder]), spent / 60) for folder, spent in seconds.items()]
    return sorted(found, key=lambda row: (-row[2], row[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table; under xdist this is the process to which the others report."""
    reports = [r for kind in terminalreporter.stats.values() for r in kind if isinstance(r, pytest.TestReport)]
    if not reports:
        return
    terminalreporter.section("minutes by folder")
    rows = minutes(reports)
    for folder, tests, spent in [*rows, ("together", sum(r[1] for r in rows), sum(r[2] for r in rows))]:
        terminalreporter.write_line(f"{folder:<12} {tests:>6,} tests {spent:>7.1f} min")
