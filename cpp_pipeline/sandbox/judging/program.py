"""The text of a translation unit: candidates, each with the glue that calls it.

Belongs here: source text out, compiler messages back to candidates. Not here: running the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cpp_pipeline.sandbox.cpp.prototype import Prototype
from cpp_pipeline.sandbox.judging.glue import call_glue, codecs

_LINE = re.compile(r"^(?:In file included from )?(?P<file>[^\s:][^:\n]*):(?P<line>\d+)[:,](?:\d+:)?\s*(?P<rest>.*)$")
_OURS = re.compile(r"^(?:candidate_|c)(\d+)$")


@dataclass(frozen=True)
class Entry:
    """One candidate in a unit. `plain` candidates live in a namespace of their own; `line` is where `code` began."""

    code: str
    prototype: Prototype
    plain: bool
    line: int = 1


def unit(entries: Sequence[Entry], preamble: str, bare: bool = False) -> str:
    """One translation unit with all entries; their messages carry the file names c0, c1, ...

    A `bare` one does not need judge.hpp before it: it includes that behind the candidates, whose global names may be
    those of headers that they do not include.
    """
    ours = [*(['#line 1 "judge"\n#include "judge.hpp"\n'] if bare else []), *dict.fromkeys(map(_codecs, entries))]
    parts = []
    if any(not e.plain for e in entries):
        # a candidate's own main must not replace the runner's
        parts.append("#define main candidate_main\n")
    parts.append(f'#line 1 "preamble"\n{preamble}\n')
    parts += [] if bare else ours
    for at, entry in enumerate(entries):
        opening, closing = (f"namespace c{at} {{\n", "\n}\n") if entry.plain else ("", "\n")
        parts.append(f'{opening}#line {entry.line} "c{at}"\n{entry.code}{closing}')
    parts += ours if bare else []
    for at, entry in enumerate(entries):
        parts.append(f'#line 1 "c{at}"\n{call_glue(at, f"::c{at}::" if entry.plain else "::", entry.prototype)}')
    table = ", ".join(f"judge_call_{at}" for at in range(len(entries)))
    parts.append('#line 1 "judge"\n#undef main\n')
    parts.append(f"extern const judge_rpc::Entry judge_entries[] = {{{table}}};\n")
    parts.append(f"extern const unsigned judge_entry_count = {len(entries)};\n")
    return "".join(parts)


def _codecs(entry: Entry) -> str:
    return codecs(entry.prototype)


def blamed(stderr: str) -> set[int]:
    """Entries that the compiler's errors belong to; empty when an error fits none.

    An error inside a standard header belongs to the candidate that the last "required from" names.
    """
    found: set[int] = set()
    behind: int | None = None
    for line in stderr.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        own = _OURS.match(match["file"])
        severity = match["rest"].lstrip()
        is_error = severity.startswith(("error:", "fatal error:", "sorry, unimplemented:"))
        if is_error:
            if own is not None:
                found.add(int(own[1]))
            elif behind is not None:
                found.add(behind)
            else:
                return set()
            behind = None
        elif own is not None and "required from" in severity:
            behind = int(own[1])
    return found


def only_preamble(stderr: str) -> bool:
    """True when every error is in the preamble, that is in the data and not in the candidate."""
    files = [m["file"] for line in stderr.splitlines() if (m := _LINE.match(line)) and "error:" in m["rest"]]
    return bool(files) and all(name == "preamble" for name in files)
