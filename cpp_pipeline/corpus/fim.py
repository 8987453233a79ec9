"""Fill-in-the-middle documents: random spans (Bavarian et al., arXiv 2207.14255), and a function's body.

Belongs here: cutting a text into prefix, middle and suffix, both orders, the method's structured layout, and the way
back: any text comes back byte for byte, also one that spells the markers.
Does not belong here: templates as one string (`formats`), ids (`tokenizer`).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from cpp_pipeline.corpus.formats import (
    EOT,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    Parts,
    Special,
    block_comment,
    comment_text,
    ended,
)

_PRE, _SUF, _MID, _END = Special(FIM_PREFIX), Special(FIM_SUFFIX), Special(FIM_MIDDLE), Special(EOT)


@dataclass(frozen=True)
class FimSplit:
    """A text cut twice; `spm` says whether the suffix is shown before the prefix."""

    prefix: str
    middle: str
    suffix: str
    spm: bool


def stable_seed(*parts: object) -> int:
    """64-bit seed that names `parts`; the same in every process and version."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def split_random_fim(text: str, document_id: str, epoch: int) -> FimSplit:
    """Cut `text` at two uniform places between characters.

    The cut depends on (document id, epoch) alone, so a repeated epoch shows new spans and a rerun the
    same ones. Half the documents are suffix-prefix-middle (SPM).
    """
    rng = random.Random(stable_seed("fim", document_id, epoch))
    spm = rng.random() < 0.5
    low, high = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    return FimSplit(text[:low], text[low:high], text[high:], spm)


def fim_parts(split: FimSplit) -> Parts:
    """The document that trains on a split; no newline around the markers.

    PSM: PRE prefix SUF suffix MID middle EOT. SPM, in the paper's form for training both jointly:
    PRE SUF suffix MID prefix middle EOT, where prefix and middle are one run of text.
    """
    if split.spm:
        return (_PRE, _SUF, split.suffix, _MID, split.prefix + split.middle, _END)
    return (_PRE, split.prefix, _SUF, split.suffix, _MID, split.middle, _END)


def structured_parts(doc: str, signature: str, body: str) -> Parts:
    """The document that trains on a body: what `formats.structured_fim` lays out, with its markers apart from text.

    The body's last newline comes before EOT: one is added where it has none.
    """
    head = f"\n{block_comment(doc)}\n{signature} {{\n"
    return (_PRE, head, _SUF, "\n}\n", _MID, f"\n{ended(body)}", _END)


def function_of(parts: Parts) -> tuple[str, str, str]:
    """Inverse of `structured_parts`: doc, signature and body with its last newline.

    Raises
    ------
    ValueError
        When the parts are not in this layout.
    """
    match parts:
        case (
            Special("<FIM_PREFIX>"),
            str(head),
            Special("<FIM_SUFFIX>"),
            "\n}\n",
            Special("<FIM_MIDDLE>"),
            str(body),
            _,
        ):
            comment, end, signature = head.removeprefix("\n").partition(" */\n")
            if comment.startswith("/* ") and end and signature.endswith(" {\n") and body.startswith("\n"):
                return comment_text(comment + " */"), signature.removesuffix(" {\n"), body[1:]
    raise ValueError(f"not a structured FIM document: {parts!r}"[:200])


def raw_parts(text: str) -> Parts:
    """A document read left to right."""
    return (text, _END)


def unfim(parts: Parts) -> str:
    """The source text behind a raw or random FIM document, byte for byte.

    Raises
    ------
    ValueError
        When the parts are in none of the three layouts.
    """
    match parts:
        case (str(text), Special("<EOT>")):
            return text
        case (
            Special("<FIM_PREFIX>"),
            str(prefix),
            Special("<FIM_SUFFIX>"),
            str(suffix),
            Special("<FIM_MIDDLE>"),
            str(middle),
            Special("<EOT>"),
        ):
            return prefix + middle + suffix
        case (
            Special("<FIM_PREFIX>"),
            Special("<FIM_SUFFIX>"),
            str(suffix),
            Special("<FIM_MIDDLE>"),
            str(prefix_and_middle),
            Special("<EOT>"),
        ):
            return prefix_and_middle + suffix
    raise ValueError(f"not a raw or random FIM document: {parts!r}"[:200])
