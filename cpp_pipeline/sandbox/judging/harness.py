"""The text of the trusted program that holds a problem's tests, with a stub in place of the candidate.

Belongs here: source text only. Nothing of a candidate enters it but, where a job names no prototype, types that the
prototype parser knows. Source of the scheme: two processes and a bounded decoder, docs/sandbox.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from cpp_pipeline.sandbox.cpp.prototype import VOID, Prototype
from cpp_pipeline.sandbox.judging.glue import codecs, declared

DEFAULT_PREAMBLE = "#include <bits/stdc++.h>\nusing namespace std;\n"
"""What tests without a preamble may use: such tests came after a whole program, which began with this or less."""
_ASSERT_HEADER = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(?:assert\.h|cassert)>[ \t]*$", re.MULTILINE)
_RUNTIME = Path(__file__).resolve().parents[1] / "native" / "harness.hpp"
_CHECK = (
    "#undef assert\n"
    "#define assert(...) judge_harness::check(static_cast<unsigned>(__COUNTER__) - judge_first - 1u, "
    "[&] { return static_cast<bool>(__VA_ARGS__); })\n"
)


def harness_unit(prototype: Prototype, preamble: str, test_code: str, sites: int) -> str:
    """The unit of the tests; its messages carry the file names `preamble` and `tests`.

    `sites` asserts are expected; a unit that has another number does not compile, since their verdicts would be
    given to the wrong lines.
    """
    parts = [
        f'#line 1 "harness.hpp"\n{_RUNTIME.read_text()}',
        f'#line 1 "preamble"\n{preamble or DEFAULT_PREAMBLE}\n',
        f'#line 1 "prototype"\n{codecs(prototype)}\n{_stub(prototype)}\n',
        "static constexpr unsigned judge_first = __COUNTER__;\n",
        f'{_CHECK}#define main judge_tests\n#line 1 "tests"\n{_ASSERT_HEADER.sub("", test_code)}\n',
        '#line 1 "judge"\n#undef main\n#undef assert\n',
        f"static_assert(__COUNTER__ - judge_first - 1u == {sites}u, ",
        '"the asserts of the tests cannot be counted: one stands in a macro or in an inactive branch");\n',
        f"extern const unsigned judge_site_count = {sites}u;\n",
    ]
    return "".join(parts)


def _stub(prototype: Prototype) -> str:
    """A function of the candidate's name that asks the runner."""
    lines = [f"{prototype.return_type} {prototype.name}({declared(prototype)}) {{ judge_harness::Call judge_call;"]
    for at, ((kind, _), how) in enumerate(zip(prototype.params, prototype.passing, strict=True)):
        value = f"std::string(judge_arg_{at})" if how in ("view", "text") else f"judge_arg_{at}"
        lines.append(f"judge_rpc::put<{kind}>(judge_call.arguments, {value});")
    lines.append("judge_rpc::Reader judge_reply = judge_call.send();")
    if prototype.return_type != VOID:
        lines.append(f"auto judge_result = judge_harness::take<{prototype.return_type}>(judge_reply);")
    changed = [(at, kind) for at, (kind, _) in enumerate(prototype.params) if prototype.references[at]]
    for at, kind in changed:
        lines.append(f"auto judge_new_{at} = judge_harness::take<{kind}>(judge_reply);")
    lines.append("judge_harness::Call::finish(judge_reply);")
    lines += [f"judge_arg_{at} = std::move(judge_new_{at});" for at, _ in changed]
    lines.append("}" if prototype.return_type == VOID else "return judge_result; }")
    return " ".join(lines)
