"""What is known of one file's functions.

Belongs here: the types that the steps of extraction hand on; they can be pickled. Does not belong here: how they are
found (`functions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """A function definition; lines count from 1, text is as written."""

    name: str
    qualified_name: str
    parameter_types: tuple[str, ...]
    parameter_names: tuple[str, ...]
    line: int
    end_line: int
    start_byte: int
    end_byte: int
    doc_raw: str
    """Comment as written; empty when there is none."""
    doc_line: int
    signature: str
    body: str
    code: str
    context: str
    is_anonymous: bool
    """In an unnamed namespace."""
    has_parse_error: bool
    qualifiers: str
    """`const`, `&`, `const &&` and the like behind the parameters; empty when there are none."""


@dataclass(frozen=True)
class Bare:
    """A function definition without documentation of its own; `complete` reads the rest."""

    name: str
    qualified_name: str
    line: int
    start_byte: int
    end_byte: int
    is_anonymous: bool
    is_in_class: bool
    """Its text stands inside its class."""
    has_parse_error: bool
    body_start: int
    opening: str
    """Code that opens the namespaces and classes around it, one line each."""


@dataclass(frozen=True)
class Declaration:
    """A declaration without a body that has a comment, or whose name one with a comment in the file has too."""

    name: str
    qualified_name: str
    parameter_types: tuple[str, ...]
    qualifiers: str
    doc_raw: str
    """Empty for an overload without a comment."""
    doc_line: int
    """Line of the comment, of the declaration itself where there is none."""
    is_anonymous: bool


@dataclass(frozen=True)
class TypeHead:
    """A class, enumeration or alias: where its text up to its body stands."""

    name: str
    start_byte: int
    end_byte: int


@dataclass(frozen=True)
class FileFacts:
    """What one file holds, in the order of the file; `refused` says why it was not read."""

    functions: tuple[Function, ...] = ()
    """Documented ones; all of them where the file was read in full."""
    bare: tuple[Bare, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    includes: tuple[str, ...] = ()
    types: tuple[TypeHead, ...] = ()
    blanked: bytes = b""
    """The text as it was parsed, with macros overwritten."""
    refused: str | None = None
