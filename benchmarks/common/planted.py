"""A test set for near duplicates: real functions, planted variants of them, and fillers spliced from unrelated ones.

Belongs here: making it. Real functions come from the given source trees; nothing is run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tree_sitter_cpp
from tree_sitter import Language, Parser

from benchmarks.common.corpora import sources

_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
_KEYWORD_TEXT = """
    auto bool break case char class const continue delete do double else enum false float for if inline int long
    namespace new nullptr operator private public return short signed sizeof static struct switch template this
    throw true try typename unsigned using virtual void while std
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())
_MAX_FILE_BYTES = 1_000_000
COPIES = 7
Change = Callable[[random.Random, list[str]], list[str]]


def real_functions(trees: Sequence[Path]) -> list[str]:
    """Distinct definitions of at least five lines and 150 to 6,000 characters, in the order of files."""
    parser = Parser(Language(tree_sitter_cpp.language()))
    found: dict[str, None] = {}
    for path in (path for tree in trees for path in sources(tree)):
        data = path.read_bytes()
        if len(data) > _MAX_FILE_BYTES:
            continue
        waiting = [parser.parse(data).root_node]
        while waiting:
            node = waiting.pop()
            if node.type == "function_definition":
                text = data[node.start_byte : node.end_byte].decode("utf-8", "replace")
                if 150 <= len(text) <= 6000 and text.count("\n") >= 4:
                    found[text] = None
            elif node.child_count:
                waiting += reversed(node.children)
    return list(found)


def _renamed(share: float) -> Change:
    def change(rng: random.Random, lines: list[str]) -> list[str]:
        names = sorted(set(_NAME.findall("\n".join(lines))) - _KEYWORDS)
        chosen = {n: f"{n}_{rng.randrange(1000)}" for n in names if rng.random() < share}
        return [_NAME.sub(lambda m: chosen.get(m.group(), m.group()), line) for line in lines]

    return change


def _reformatted(rng: random.Random, lines: list[str]) -> list[str]:
    place = rng.randrange(1, len(lines))
    return [*("    " + line.strip() for line in lines[:place]), "// seen elsewhere", "", *lines[place:]]


def _numbers(rng: random.Random, lines: list[str]) -> list[str]:
    return [re.sub(r"\b\d+\b", lambda m: str(int(m.group()) + rng.randrange(1, 9)), line) for line in lines]


def _longer(rng: random.Random, lines: list[str]) -> list[str]:
    made = list(lines)
    for _ in range(2):
        made.insert(rng.randrange(1, len(made)), f"  trace({rng.randrange(100)}, __LINE__);")
    return made


def _swapped(rng: random.Random, lines: list[str]) -> list[str]:
    made = list(lines)
    for _ in range(2):
        i = rng.randrange(1, len(made) - 1)
        made[i], made[i + 1] = made[i + 1], made[i]
    return made


def _mixed(rng: random.Random, lines: list[str]) -> list[str]:
    return _longer(rng, _renamed(0.05)(rng, _swapped(rng, lines)))


VARIANTS: tuple[Change, ...] = (
    _reformatted, _renamed(0.05), _renamed(0.25), _renamed(1.0), _numbers, _longer, _swapped, _mixed,
)  # fmt: skip


def planted(functions: Sequence[str], size: int, seed: int) -> Iterator[str]:
    """`size` texts in random order: the functions, `COPIES` variants of every other one, and fillers.

    Of many functions for a small size a third is taken, so that there are variants and fillers as well.
    """
    rng = random.Random(seed)
    plain = functions[: size // 3]
    bases = plain[::2]
    variants = min(size // 3, COPIES * len(bases))
    lines = [line for text in functions for line in text.split("\n")[1:-1] if line.strip()]
    heads = [text.split("\n")[0] for text in functions]
    kinds = ["plain"] * len(plain) + ["variant"] * variants + ["filler"] * (size - len(plain) - variants)
    rng.shuffle(kinds)
    unused = iter(plain)
    for kind in kinds:
        if kind == "plain":
            yield next(unused)
        elif kind == "variant":
            yield "\n".join(rng.choice(VARIANTS)(rng, rng.choice(bases).split("\n")))
        else:
            yield "\n".join([rng.choice(heads), *rng.choices(lines, k=rng.randrange(6, 24)), "}"])
