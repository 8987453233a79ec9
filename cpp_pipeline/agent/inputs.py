"""From what the user sends to what the router sees: code and prototypes out of the text, handles in.

Belongs here: attachments and their handles. Does not belong here: the choice of a tool (`router`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cpp_pipeline.agent.router import HANDLE
from cpp_pipeline.agent.tools import CODE, FILES, REQUEST, SIGNATURE
from cpp_pipeline.sandbox.cpp.prototype import parse_signature

_FENCE = re.compile(r"```[A-Za-z+]*[ \t]*\n(.*?)\n?```", re.DOTALL)
_QUOTED = re.compile(r"`([^`\n]{3,400})`")
_NAME = r"[A-Za-z0-9_./-]+\.(?:cpp|cc|cxx|c|hpp|hxx|hh|h)\b"
_NAMES = re.compile(rf"{_NAME}(?:(?:, and |, | and ){_NAME})*")


class AttachmentError(ValueError):
    """An attachment that cannot be used; the message names it and says what would be right."""


@dataclass(frozen=True)
class Prepared:
    """What the router reads (`utterance`), and what its handles stand for, `$request` included."""

    utterance: str
    attachments: Mapping[str, str]


def prepare(request: str, attachments: Mapping[str, str]) -> Prepared:
    """Take code, a prototype and file names out of the request, unless they are attached already.

    A fenced block becomes `$code`, a prototype in backquotes `$signature`, names of sources `$files` (without
    contents). Keys of `attachments` may lack their `$`.

    Raises
    ------
    AttachmentError
        For an empty request, a name that is no handle, or a value that is not text.
    """
    if not request.strip():
        raise AttachmentError("the request is empty")
    found: dict[str, str] = {}
    for name, value in attachments.items():
        handle = name if name.startswith("$") else f"${name}"
        if not HANDLE.fullmatch(handle) or handle == REQUEST:
            raise AttachmentError(f"attachment {name!r}: use lower-case letters, digits and _, not `request`")
        if not isinstance(value, str):
            raise AttachmentError(f"attachment {name!r}: text is wanted, not {type(value).__name__}")
        found[handle] = value
    text = request
    if CODE not in found and (fence := _FENCE.search(text)):
        found[CODE] = fence[1]
        text = text[: fence.start()] + CODE + text[fence.end() :]
    for quoted in _QUOTED.finditer(text):
        if found.get(SIGNATURE, quoted[1]) == quoted[1] and is_prototype(quoted[1]):
            found[SIGNATURE] = quoted[1]
            text = text.replace(quoted[0], SIGNATURE)
            break
    if FILES not in found and (names := re.findall(_NAME, text)):
        files = [{"path": n, "content": ""} for n in dict.fromkeys(names)]
        found[FILES] = json.dumps(files)
        text = _NAMES.sub(FILES, text, count=1)
    elif FILES in found:
        text = _NAMES.sub(FILES, text, count=1)
    return Prepared(" ".join(text.split()), {REQUEST: request, **found})


def is_prototype(text: str) -> bool:
    """Whether the sandbox can call a function of this signature."""
    try:
        parse_signature(text)
    except ValueError:
        return False
    return True


def resolve(value: str, prepared: Prepared) -> str:
    """The text that a handle stands for; a string that is no handle stands for itself.

    Raises
    ------
    AttachmentError
        For a handle under which nothing is attached.
    """
    if not HANDLE.fullmatch(value):
        return value
    if value not in prepared.attachments:
        raise AttachmentError(f"{value} is not attached; attached: {' '.join(prepared.attachments)}")
    return prepared.attachments[value]


def read_tests(text: str) -> list[dict[str, Any]]:
    """Tests from the JSON text of an attachment: a list of {"args": [...], "expected": ...}.

    Raises
    ------
    AttachmentError
        Naming the first entry that is not in this form.
    """
    wanted = 'use a JSON list of {"args": [...], "expected": ...}'
    try:
        tests = json.loads(text)
    except ValueError as e:
        raise AttachmentError(f"the tests are not JSON ({e}); {wanted}") from None
    if not isinstance(tests, list):
        raise AttachmentError(f"the tests are not a list; {wanted}")
    for i, test in enumerate(tests):
        if not isinstance(test, dict) or test.keys() != {"args", "expected"} or not isinstance(test["args"], list):
            raise AttachmentError(f"test {i} is {str(test)[:80]}; {wanted}")
    return tests


def read_files(text: str) -> list[dict[str, str]]:
    """Files from the JSON text of an attachment: a list of {"path": ..., "content": ...}.

    Raises
    ------
    AttachmentError
        Naming the first entry that is not in this form.
    """
    wanted = 'use a JSON list of {"path": "...", "content": "..."}'
    try:
        files = json.loads(text)
    except ValueError as e:
        raise AttachmentError(f"the files are not JSON ({e}); {wanted}") from None
    good = isinstance(files, list) and all(
        isinstance(f, dict) and f.keys() == {"path", "content"} and all(isinstance(v, str) for v in f.values())
        for f in files
    )
    if not good:
        raise AttachmentError(f"the files are {text[:80]!r}; {wanted}")
    return list(files)
