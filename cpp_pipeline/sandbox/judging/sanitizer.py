"""The sanitizer tier: how a program built with ASan and UBSan is run, and what they said about it.

Belongs here: environment, limits, and the reading of reports. Not here: the compiler's flags (`compilers`), and what a
report means for a verdict: the program has ended with an exit code that is not 0, which is an RE as for any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from cpp_pipeline.sandbox.isolation import Limits
from cpp_pipeline.sandbox.types import Caps

MEMORY_FACTOR = 3
"""Memory that a sanitized program may use, over what a plain one may: shadow, red zones and freed blocks kept back."""
SLOWDOWN = 3.0
"""Times that a sanitized program may be slower than a plain one."""
REPORT_SECONDS = 2.0
"""CPU seconds on top, which a report may take: a program that is ended while it writes one would be a TLE."""
_ROOM_MB = 64
_QUARANTINE_MB = 16
_EXIT_CODE = 86
_KEPT, _LONGEST = 20, 200
_REPORT = re.compile(r"==\d+==\s*ERROR: AddressSanitizer:? (?P<what>.*)$")
_FRAME = re.compile(r"^\s*#\d+ 0x[0-9a-f]+ (?:in (?P<name>.*?) )?(?P<where>\S+)$")
_OURS = re.compile(r"(?:.*/)?(?P<file>candidate|tests|preamble|c0|<stdin>|-):(?P<line>\d+)(?::\d+)?$")
_UNDEFINED = re.compile(r"^(?:.*/)?(?P<file>[^/\s:]+):(?P<line>\d+):\d+: runtime error: (?P<what>.*)$")
_LIBRARY = re.compile(r"^\S+/(?P<file>[^/\s:]+):\d+: .*: Assertion '(?P<what>.*)' failed\.$")
_MEMORY = re.compile(
    r"AddressSanitizer: (?:hard rss limit exhausted|requested allocation size|allocator is out of memory|out of memory)"
)


def environment(caps: Caps) -> dict[str, str]:
    """Variables for the box of a sanitized program; the box needs /proc too, where the runtimes read them.

    The limits of memory in them hold where there is no cgroup, for a program that does not fork. A forked child, as
    the runner makes one for each call, has lost the thread that watches: only its single allocations are bounded.
    """
    bound = _memory_mb(caps)
    options = {
        "detect_leaks": 0,
        "exitcode": _EXIT_CODE,
        "hard_rss_limit_mb": bound,
        "max_allocation_size_mb": bound,
        "quarantine_size_mb": _QUARANTINE_MB,
        "print_legend": 0,
        "print_module_map": 0,
    }
    return {"ASAN_OPTIONS": ":".join(f"{k}={v}" for k, v in options.items()), "UBSAN_OPTIONS": "print_stacktrace=0"}


def limits(plain: Limits, caps: Caps) -> Limits:
    """Limits for a sanitized program: its address space holds terabytes of shadow and cannot be bounded."""
    return replace(plain, memory_bytes=_memory_mb(caps) << 20, address_space=False)


def _memory_mb(caps: Caps) -> int:
    return MEMORY_FACTOR * caps.memory_mb + _ROOM_MB


def out_of_memory(stderr: str) -> bool:
    """Whether the runtime itself ended the program for want of memory."""
    return bool(_MEMORY.search(stderr))


def findings(stderr: str) -> list[str]:
    """The reports in what a program wrote, such as "heap-buffer-overflow in f candidate:3"; each once.

    The program can write such lines itself: they say what to look at, and are no part of a verdict.
    """
    return list(dict.fromkeys(text[:_LONGEST] for text in _findings(stderr.splitlines())))[:_KEPT]


def _findings(lines: list[str]) -> Iterator[str]:
    for at, line in enumerate(lines):
        if match := _REPORT.search(line):
            yield f"{_kind(match['what'])}{_place(lines[at + 1 :])}"
        elif match := _UNDEFINED.match(line):
            yield f"{match['what']} {match['file']}:{match['line']}"
        elif match := _LIBRARY.match(line):
            yield f"library assertion '{match['what']}' failed {match['file']}"


def _kind(text: str) -> str:
    return "allocation too big" if text.startswith("requested allocation size") else text.partition(" on ")[0]


def _place(lines: list[str]) -> str:
    """The innermost frame of the report's first stack that is the candidate's own."""
    started = False
    for line in lines:
        frame = _FRAME.match(line)
        if frame is None:
            if started:
                break
            continue
        started = True
        if place := _OURS.match(frame["where"]):
            name = (frame["name"] or "?").split("(")[0]
            return f" in {name} {'candidate' if place['file'] == 'c0' else place['file']}:{place['line']}"
    return ""
