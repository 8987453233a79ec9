"""Static refusals for CMakeLists.txt: commands that run programs, fetch, or write.

Belongs here: an own lexer of the CMake language and the rules. Not here: configuring (`cmake`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECES = re.compile(
    r"""(?P<comment>\#\[(?P<c>=*)\[.*?\](?P=c)\]|\#[^\n]*)
      | (?P<bracket>\[(?P<b>=*)\[.*?\](?P=b)\])
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<open>\()
      | (?P<close>\))
      | (?P<space>[\s;]+)
      | (?P<word>(?:[^\s()#"\\;]|\\.)+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_REFUSED = {
    "execute_process": "runs a program",
    "exec_program": "runs a program",
    "try_run": "runs a program",
    "externalproject_add": "fetches and builds another project",
    "externalproject_add_step": "fetches and builds another project",
    "cmake_language": "evaluates code that cannot be read here",
    "variable_watch": "hooks commands",
    "load_cache": "reads another build",
    "load_command": "loads a program",
    "build_command": "starts a build",
    "ctest_start": "belongs to a dashboard",
    "site_name": "asks the machine",
    "fetchcontent_populate": "fetches; use FetchContent_MakeAvailable",
    "write_file": "writes files",
    "file_generate": "writes files",
    "cmake_host_system_information": "asks the machine",
    "export": "writes outside the build",
}
_FILE_READS = {
    *("READ", "STRINGS", "SIZE", "REAL_PATH", "RELATIVE_PATH", "TO_CMAKE_PATH", "TO_NATIVE_PATH", "GLOB"),
    *("GLOB_RECURSE", "MD5", "SHA1", "SHA256", "SHA512", "TIMESTAMP"),
}
_SET_REFUSED = re.compile(
    r"CMAKE_\w+_(COMPILER|LAUNCHER|COMPILER_LAUNCHER|LINKER_LAUNCHER)|CMAKE_PROJECT_\w*INCLUDE\w*"
    r"|CMAKE_(TOOLCHAIN_FILE|MAKE_PROGRAM|LINKER|AR|RANLIB|CROSSCOMPILING_EMULATOR|GENERATOR)"
    r"|CMAKE_\w+_(COMPILE_OBJECT|LINK_EXECUTABLE|CREATE_SHARED_LIBRARY|CREATE_STATIC_LIBRARY)|RULE_LAUNCH_\w+"
)
_BUILTIN = re.compile(
    r"add_\w+|target_\w+|find_\w+|project|set|include|if|foreach|message|install|file|configure_file"
    r"|get_\w+|list|string|option|return|enable_\w+|cmake_\w+|fetchcontent_\w+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Command:
    """One command invocation: lower-case name, arguments without quotes, line from 1."""

    name: str
    args: tuple[str, ...]
    line: int


def commands(text: str) -> list[Command]:
    """All command invocations; raises ValueError with the line where the text is not CMake."""
    found: list[Command] = []
    word, depth, start, line = "", 0, 1, 1
    args: list[str] = []
    for match in _PIECES.finditer(text.lstrip("\ufeff")):
        kind, piece = match.lastgroup or "other", match.group()
        kind = {"c": "comment", "b": "bracket"}.get(kind, kind)
        if kind == "other":
            raise ValueError(f"line {line}: unexpected {piece!r}")
        if depth == 0:
            if kind == "word" and not word:
                word, args, start = piece, [], line
            elif kind == "open" and word:
                depth = 1
            elif kind not in ("space", "comment"):
                raise ValueError(f"line {line}: expected a command, found {piece[:40]!r}")
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
            if depth == 0:
                found.append(Command(word.lower(), tuple(args), start))
                word = ""
        elif kind in ("word", "quoted", "bracket"):
            args.append(piece[1:-1] if kind == "quoted" else piece.strip("[]=") if kind == "bracket" else piece)
        line += piece.count("\n")
    if depth or word:
        raise ValueError(f"line {start}: command {word!r} is not closed")
    return found


def lint(text: str) -> list[str]:
    """Reasons to refuse, each with its line; empty when the text may be configured."""
    try:
        found = commands(text)
    except ValueError as error:
        return [str(error)]
    return [f"line {c.line}: {c.name}: {why}" for c in found if (why := _refusal(c))]


def _refusal(command: Command) -> str | None:
    name, args = command.name, command.args
    first = args[0] if args else ""
    if name in _REFUSED:
        return _REFUSED[name]
    if name == "file" and first.upper() not in _FILE_READS:
        return f"subcommand {first or '(none)'} is not one that only reads"
    if name in ("set", "set_property", "option", "unset") and any(_SET_REFUSED.fullmatch(a) for a in args):
        return "changes a program that CMake runs"
    if name in ("function", "macro") and _BUILTIN.fullmatch(first):
        return f"redefines {first}"
    if name == "include" and (first.startswith("/") or first in ("ExternalProject", "CMakeFindDependencyMacro")):
        return f"of {first} is not allowed"
    if name == "configure_file" and len(args) > 1 and (args[1].startswith("/") or ".." in args[1]):
        return "writes outside the build"
    if name in ("add_custom_command", "add_custom_target") and "COMMAND" in args:
        return "runs a program while building"
    if name == "install" and first.upper() in ("CODE", "SCRIPT"):
        return "runs code"
    return None
