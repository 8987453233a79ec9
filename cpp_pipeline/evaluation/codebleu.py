"""A CodeBLEU-style score for C++ functions (Ren et al., arXiv 2009.10297).

Belongs here: the four parts and their mean. Does not belong here: verdicts, which say more.

The parts are the paper's: n-gram match, keyword-weighted n-gram match, syntax match, data-flow match, a quarter
each. Differences, because of which figures are not comparable with those of the `codebleu` package:
tokens are C++ tokens, not words between blanks; the weighted part weighs unigrams alone, keywords 5 to 1;
n-gram precisions above unigrams are smoothed by adding 1 to both counts; subtrees are compared by hash with
multiplicity; data flow is name-based def-use pairs inside the function (an approximation, without scopes or
branches); a reference without data flow leaves that part out and the other weights grow, instead of counting 1.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import tree_sitter_cpp
from tree_sitter import Language, Node, Parser

from cpp_pipeline.curate.tokens import is_identifier, tokens

MAX_N = 4
KEYWORD_WEIGHT = 5.0
_LANGUAGE = Language(tree_sitter_cpp.language())
_ASSIGNED = {
    "assignment_expression": "left",
    "update_expression": "argument",
    "init_declarator": "declarator",
    "for_range_loop": "declarator",
    "parameter_declaration": "declarator",
    "optional_parameter_declaration": "declarator",
    "declaration": "declarator",
}
_NAMES = ("identifier", "field_identifier")


@dataclass(frozen=True)
class CodeBleu:
    """The parts, each 0 to 1; `dataflow` is None where the reference has none."""

    ngram: float
    weighted: float
    syntax: float
    dataflow: float | None

    @property
    def score(self) -> float:
        """Mean of the parts that apply."""
        parts = [self.ngram, self.weighted, self.syntax]
        parts += [] if self.dataflow is None else [self.dataflow]
        return sum(parts) / len(parts)


def codebleu(candidate: str, reference: str) -> CodeBleu:
    """Score a candidate function against one reference."""
    words, wanted = tokens(candidate), tokens(reference)
    tree, wanted_tree = _parse(candidate), _parse(reference)
    edges = _edges(wanted_tree)
    return CodeBleu(
        ngram=_bleu(words, wanted),
        weighted=_weighted_unigrams(words, wanted),
        syntax=_recall(_subtrees(tree), _subtrees(wanted_tree)),
        dataflow=_recall(_edges(tree), edges) if edges else None,
    )


def best_codebleu(candidate: str, references: Sequence[str]) -> float:
    """Score against the closest of several references.

    Raises
    ------
    ValueError
        Without a reference.
    """
    if not references:
        raise ValueError("CodeBLEU needs at least one reference")
    return max(codebleu(candidate, r).score for r in references)


def _parse(code: str) -> Node:
    return Parser(_LANGUAGE).parse(code.encode("utf-8", "replace")).root_node


def _brevity(length: int, wanted: int) -> float:
    """Brevity penalty of BLEU (Papineni et al. 2002, section 2.2.2)."""
    return 1.0 if length >= wanted else 0.0 if length == 0 else math.exp(1 - wanted / length)


def _bleu(words: Sequence[str], wanted: Sequence[str]) -> float:
    if not words or not wanted:
        return 0.0
    logs = []
    for n in range(1, min(MAX_N, len(wanted)) + 1):
        found, right = _ngrams(words, n), _ngrams(wanted, n)
        matched, total = sum((found & right).values()), sum(found.values())
        smooth = int(n > 1)
        if matched + smooth == 0:
            return 0.0
        logs.append(math.log((matched + smooth) / (total + smooth)))
    return _brevity(len(words), len(wanted)) * math.exp(sum(logs) / len(logs))


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _weighted_unigrams(words: Sequence[str], wanted: Sequence[str]) -> float:
    found, right = Counter(words), Counter(wanted)

    def weigh(counts: Counter[str]) -> float:
        return sum(n * _weight(w) for w, n in counts.items())

    total = weigh(found)
    return _brevity(len(words), len(wanted)) * weigh(found & right) / total if total else 0.0


def _weight(word: str) -> float:
    # Words that are no identifiers and start with a letter are keywords.
    return KEYWORD_WEIGHT if word[0].isalpha() and not is_identifier(word) else 1.0


def _recall(found: Counter[Hashable], wanted: Counter[Hashable]) -> float:
    total = sum(wanted.values())
    return sum((found & wanted).values()) / total if total else 0.0


def _walk(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack += reversed(current.children)


def _subtrees(root: Node) -> Counter[Hashable]:
    """Digests of the shapes of all inner nodes: types of a node and of everything below, no texts."""
    shapes: dict[int, bytes] = {}
    found: Counter[Hashable] = Counter()
    for node in reversed(list(_walk(root))):  # children come before their parents
        below = [shapes[c.id] for c in node.children if c.is_named]
        shapes[node.id] = hashlib.blake2b(node.type.encode() + b"".join(below), digest_size=8).digest()
        if below:
            found[shapes[node.id]] += 1
    return found


def _edges(root: Node) -> Counter[Hashable]:
    """Def-use pairs (variable defined, variable it is computed from), names numbered by first use."""
    numbers: dict[str, int] = {}
    for node in _walk(root):
        if node.type in _NAMES:
            numbers.setdefault(_text(node), len(numbers))
    edges: Counter[Hashable] = Counter()
    for node in _walk(root):
        field = _ASSIGNED.get(node.type)
        target = node.child_by_field_name(field) if field else None
        if target is None:
            continue
        defined = [numbers[_text(n)] for n in _walk(target) if n.type in _NAMES][:1]
        used = [
            numbers[_text(n)]
            for child in node.children
            if child.id != target.id and child.type != "compound_statement"
            for n in _walk(child)
            if n.type in _NAMES
        ]
        compound = node.type in ("update_expression",) or (
            node.type == "assignment_expression" and _text(node.children[1]) != "="
        )
        edges.update((d, u) for d in defined for u in (used + defined if compound else used))
    return edges


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
