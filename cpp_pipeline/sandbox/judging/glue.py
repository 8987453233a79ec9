"""C++ text that carries the values of one prototype between a function and the pipe.

Belongs here: the call of a candidate, and codecs of the preamble's structs. Not here: units (`program`, `harness`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cpp_pipeline.sandbox.cpp.cpptypes import CppType
from cpp_pipeline.sandbox.cpp.prototype import VOID, Prototype

_PASSED = {"text": "{}.c_str()", "&&": "std::move({})"}
_DECLARED = {"value": "{} {}", "const &": "const {}& {}", "&": "{}& {}", "&&": "{}&& {}"}


def call_glue(at: int, scope: str, prototype: Prototype) -> str:
    """`judge_call_<at>`, which reads arguments, calls the function in `scope` (`::` or `::c0::`), and writes the reply.

    One line, so that messages keep their place. The codecs of structs (`codecs`) have to stand before it.
    """
    lines = [f"static void judge_call_{at}(judge_rpc::Reader& judge_in, judge_rpc::Writer& judge_out) {{"]
    passed = []
    for i, ((kind, _), how) in enumerate(zip(prototype.params, prototype.passing, strict=True)):
        lines.append(f"{kind} judge_arg_{i}{{}}; judge_rpc::get(judge_in, judge_arg_{i});")
        passed.append(_PASSED.get(how, "{}").format(f"judge_arg_{i}"))
    lines.append("if (!judge_in.done()) return;")
    call = f"{scope}{prototype.name}({', '.join(passed)});"
    returned = prototype.return_type
    if returned == VOID:
        lines.append(call)
    else:
        lines.append(f"const {returned} judge_result = {call} judge_rpc::put<{returned}>(judge_out, judge_result);")
    for i, ((kind, _), reference) in enumerate(zip(prototype.params, prototype.references, strict=True)):
        if reference:
            lines.append(f"judge_rpc::put<{kind}>(judge_out, judge_arg_{i});")
    return " ".join([*lines, "}\n"])


def declared(prototype: Prototype) -> str:
    """The parameters as the prototype takes them, called `judge_arg_0`, `judge_arg_1`, ..."""
    texts = {"view": "std::string_view {}", "text": "const char* {}"}
    return ", ".join(
        (texts[how].format(f"judge_arg_{i}") if how in texts else _DECLARED[how].format(kind, f"judge_arg_{i}"))
        for i, ((kind, _), how) in enumerate(zip(prototype.params, prototype.passing, strict=True))
    )


def codecs(prototype: Prototype) -> str:
    """Codecs of the structs in a prototype, members by name; "" where there are none.

    To stand at global scope, behind the structs and before what sends them.
    """
    found: dict[str, CppType] = {}
    for kind in (prototype.return_type, *(kind for kind, _ in prototype.params)):
        for inner in _structs(kind, found):
            found[inner.name] = inner
    return "".join(map(_codec, found.values()))


def _structs(kind: CppType, seen: dict[str, CppType]) -> Iterator[CppType]:
    """Structs not yet in `seen`, those inside others first."""
    if kind.fields and kind.name in seen:
        return
    for part in kind.args:
        yield from _structs(part, seen)
    if kind.fields:
        yield kind


def _codec(kind: CppType) -> str:
    name, codec = f"::{kind.name}", "Codec<std::decay_t<decltype({name}::{field})>>::"
    inner = [(codec.format(name=name, field=field), field) for field in kind.fields]
    width = " + ".join(f"{codec}width" for codec, _ in inner)
    get = " ".join(f"{codec}get(r, v.{field});" for codec, field in inner)
    put = " ".join(f"{codec}put(w, v.{field});" for codec, field in inner)
    return (
        f"template <> struct judge_rpc::Codec<{name}> {{ static constexpr std::size_t width = {width}; "
        f"static void get(Reader& r, {name}& v) {{ {get} }} "
        f"static void put(Writer& w, const {name}& v) {{ {put} }} }};\n"
    )
