"""Text layouts that models read and write: structured FIM, chat, and the specials in them.

Belongs here: pure functions from fields to text and back, and the spelling of special tokens.
Does not belong here: token ids (`tokenizer`), random spans (`fim`), which rows are chosen (`mixing`, `sft`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

FIM_PREFIX = "<FIM_PREFIX>"
FIM_SUFFIX = "<FIM_SUFFIX>"
FIM_MIDDLE = "<FIM_MIDDLE>"
EOT = "<EOT>"
PAD = "<pad>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
FUNCTION_SPECIALS = (
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_function_declaration>",
    "<end_function_declaration>",
    "<start_function_call>",
    "<end_function_call>",
    "<start_function_response>",
    "<end_function_response>",
    "<escape>",
)
"""Control tokens of FunctionGemma's format, for the router's prompts."""
SPECIALS = (PAD, EOT, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, USER, ASSISTANT, *FUNCTION_SPECIALS)
"""Every special token; the position is the token id, so only ever append."""

SPECIAL_RE = re.compile("|".join(re.escape(s) for s in SPECIALS))
_FENCE = re.compile(r"\A\s*```[A-Za-z+]*[ \t]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)

Kind = Literal["fim", "chat"]


class Special(NamedTuple):
    """A control token inside a document, told apart from source text that spells the same."""

    text: str


Parts = tuple["str | Special", ...]
"""A document: source text and control tokens in order."""


def defuse(text: str) -> str:
    """Break every spelling of a special token in source text with a space after its `<`.

    Templates are plain strings that are later encoded with specials on; text from a dump or a user
    must not be able to end a turn or open a FIM span. Text without such spellings is returned as it is.
    """
    return SPECIAL_RE.sub(lambda m: "< " + m.group()[1:], text)


def render(parts: Parts) -> str:
    """Parts as one string, for people and for formats that are strings."""
    return "".join(p.text if isinstance(p, Special) else p for p in parts)


def block_comment(doc: str) -> str:
    """`/* doc */`. C++ cannot express a `*/` inside: it is written `* /`, a `* /` is written `*  /`, and so on."""
    inside = re.sub(r"[*]( *)/", r"* \1/", doc)
    return f"/* {inside} */"


def comment_text(comment: str) -> str:
    """The doc of a `block_comment`, as it was."""
    return re.sub(r"[*] ( *)/", r"*\1/", comment.removeprefix("/* ").removesuffix(" */"))


def structured_fim_prompt(doc: str, signature: str) -> str:
    """Structured FIM up to and with `<FIM_MIDDLE>` and its newline: what the base model continues.

    Parameters
    ----------
    doc
        Documentation as plain text, without comment markers.
    signature
        Declaration without the opening brace.
    """
    head = defuse(f"{block_comment(doc)}\n{signature} {{\n")
    return f"{FIM_PREFIX}\n{head}{FIM_SUFFIX}\n}}\n{FIM_MIDDLE}\n"


def structured_fim(doc: str, signature: str, body: str) -> str:
    """A whole structured FIM document; `body` keeps its own indentation.

    The body's last newline comes before `<EOT>`: one is added when the body has none.
    """
    return structured_fim_prompt(doc, signature) + defuse(ended(body)) + EOT


_STRUCTURED = re.compile(
    re.escape(FIM_PREFIX)
    + r"\n/\* (?P<doc>.*?) \*/\n(?P<signature>.*) \{\n"
    + re.escape(f"{FIM_SUFFIX}\n}}\n{FIM_MIDDLE}\n")
    + r"(?P<body>.*)"
    + re.escape(EOT)
    + r"\Z",
    re.DOTALL,
)


def parse_structured_fim(text: str) -> tuple[str, str, str]:
    """Inverse of `structured_fim`: (doc, signature, body).

    Raises
    ------
    ValueError
        When `text` is not in the layout.
    """
    match = _STRUCTURED.match(text)
    if match is None:
        raise ValueError(f"not a structured FIM document: {text[:80]!r}")
    return comment_text(match["doc"]), match["signature"], match["body"]


def chat_prompt(instruction: str) -> str:
    """Text up to the point where the model answers."""
    return f"{USER}\n{defuse(instruction)}\n{ASSISTANT}\n"


def chat_text(instruction: str, response: str) -> str:
    """One supervised turn: prompt, answer, `<EOT>`."""
    return chat_prompt(instruction) + defuse(response) + EOT


def code_from_completion(kind: Kind, problem: Mapping[str, Any], completion: str) -> str:
    """The complete function that a completion stands for.

    Parameters
    ----------
    kind
        "fim": the completion is the body that `structured_fim_prompt` asked for.
        "chat": the completion is the function, possibly inside a Markdown fence.
    problem
        Needs `signature` for "fim".
    completion
        Text that the model gave, without `<EOT>`.
    """
    if kind == "fim":
        return f"{problem['signature']} {{\n{ended(completion)}}}\n"
    if kind == "chat":
        fenced = _FENCE.match(completion)
        return fenced[1] + "\n" if fenced else completion
    raise ValueError(f"format {kind!r}: use 'fim' or 'chat'")


def ended(text: str) -> str:
    """A text with a newline at its end, unless it is empty."""
    return text if not text or text.endswith("\n") else text + "\n"
