"""What the supervisor of `native/inproc.cpp` reports, and the verdict of each assert from it.

Belongs here: bytes in, verdicts out. Not here: how it is run (`in_process`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STATUS = {1: "WA", 2: "RE", 3: "TLE", 4: "MLE", 5: "OLE", 6: "RE"}
KILLED = 6
NONCE_BYTES = 16
_MAGIC = b"CHK1"
_COUNT, _SITE, _TAIL = struct.Struct("<I"), struct.Struct("<2I"), struct.Struct("<6I")


@dataclass(frozen=True)
class Report:
    """What became of the tests.

    `sites` are (ran, status) of each assert, 0 for always true. `end` is why the tests did not come to their end, 0
    where they did; `current` the assert that was being evaluated then, `last` the one that was evaluated before
    (both are beyond `sites` where there is none).
    """

    sites: tuple[tuple[bool, int], ...]
    end: int
    current: int
    last: int
    cpu_seconds: float
    stdout: str
    stderr: str


def parse_report(data: bytes, nonce: bytes, sites: int) -> Report | None:
    """The report that ends the output, or None where there is none; what stands before it is the candidate's."""
    start = data.rfind(_MAGIC + nonce)
    at = start + len(_MAGIC) + len(nonce)
    if start < 0 or len(data) < at + _COUNT.size + sites * _SITE.size + _TAIL.size:
        return None
    if _COUNT.unpack_from(data, at) != (sites,):
        return None
    at += _COUNT.size
    found = [_SITE.unpack_from(data, at + i * _SITE.size) for i in range(sites)]
    at += sites * _SITE.size
    end, current, last, micros, n_out, n_err = _TAIL.unpack_from(data, at)
    at += _TAIL.size
    if len(data) != at + n_out + n_err:
        return None
    out, err = (text.decode("utf-8", "replace") for text in (data[at : at + n_out], data[at + n_out :]))
    return Report(tuple((bool(ran), status) for ran, status in found), end, current, last, micros / 1e6, out, err)


def assert_verdicts(report: Report, cause: str) -> list[str]:
    """Verdict of each assert: it passes when it ran, and was true each time that it ran.

    `cause` is the verdict for tests that did not come to their end, empty where they did. The assert that was being
    evaluated then, and all that had not run, get it. Where neither is known it goes to the one that was evaluated
    last, since in a loop there was more to come: tests that did not come to their end never pass as a whole.
    """
    verdicts = [
        STATUS.get(status, "RE") if status else "AC" if ran else cause or "WA"  # one that never ran shows nothing
        for ran, status in report.sites
    ]
    if cause:
        asked = report.current if report.current < len(verdicts) else report.last
        at = asked if asked < len(verdicts) else len(verdicts) - 1
        if verdicts[at] == "AC" and (at == report.current or all(v == "AC" for v in verdicts)):
            verdicts[at] = cause
    return verdicts
