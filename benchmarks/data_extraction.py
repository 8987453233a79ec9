"""CPU of extraction against parsing alone and against codetext, on the same bytes.

Ours is everything from the text of a file to its facts: guards, macros, the parse without bodies, documented functions
in full, bare ones, documented declarations, includes. Which macros a repository defines is known before. File by file
and in turn with the parser alone, in one process; codetext in its own environment, in turn with whole passes of ours.
The pipeline parses bodies of kept functions later (`data_pairs` counts it); what all documented bodies cost is told
below the table. Then what leaving out bodies finds, against the full parse.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.common.corpora import corpora, not_run, peer_python, peer_version, sources
from benchmarks.common.rows import Options, Row, ratio_row
from cpp_pipeline.dumps.textguard import decode
from cpp_pipeline.extract.functions import all_functions, has_torn_body, read_functions
from cpp_pipeline.extract.macros import MacroDefinitions
from cpp_pipeline.extract.parsing import parser

_NAME = "data_extraction"
_PARSE_BAR, _PEER_BAR = 0.7, 1.4
_SAMPLE = 10
_WORKER = Path(__file__).parent / "common" / "codetext_worker.py"
_Peer = Callable[[], tuple[float, float]]


@dataclass(frozen=True)
class _File:
    tree: str
    path: str
    text: str
    macros: tuple[str, ...]


def run(options: Options) -> list[Row]:
    """Ratios on a fixed sample of a tenth of the files and on all, and what was found."""
    trees = corpora(options)
    if not trees:
        return [not_run(_NAME, "extraction", "give source trees with --corpora; see scripts/bench-corpora")]
    files = [file for name, folder in trees.items() for file in _read(name, folder)]
    sample = [file for file in files if _is_sampled(file)]
    some = {"a tenth of the files": (sample, options.size(5, 1))}
    if not options.quick:
        some["all files"] = (files, 2)
    rows = [row for name, (chosen, repeats) in some.items() for row in _compared(name, chosen, repeats, options)]
    asked = options.size(files, sample)
    return [*rows, *_left_out(asked), *_counts(asked)]


def _read(name: str, folder: Path) -> Iterator[_File]:
    found, texts = MacroDefinitions(), {}
    for path in sources(folder):
        text = decode(path.read_bytes())
        if isinstance(text, str):
            texts[str(path.relative_to(folder))] = text
            found.add(text)
    macros = found.transparent()
    yield from (_File(name, path, text, macros) for path, text in texts.items())


def _is_sampled(file: _File) -> bool:
    return int(hashlib.md5(f"{file.tree}/{file.path}".encode()).hexdigest(), 16) % _SAMPLE == 0


def _compared(name: str, files: Sequence[_File], repeats: int, options: Options) -> Iterator[Row]:
    size = f"{len(files)} files, {sum(len(f.text.encode()) for f in files) / 1e6:.1f} MB"
    python = peer_python(options, "codetext")
    _pass(files[:50])  # what is compiled at first use
    with _codetext(python, files) as peer:
        measured = [(*_pass(files), peer()) for _ in range(repeats)]
    ours, parsed = [m[0] for m in measured], [m[1] for m in measured]
    row = ratio_row(_NAME, f"against parsing alone, {name}", ours, parsed, "CPU s", _PARSE_BAR, size, _parser_version())
    with_bodies = statistics.median(alone / (mine + bodies) for mine, alone, bodies, _ in measured)
    yield replace(row, details=[f"with all documented bodies parsed: {with_bodies:.2f}x"])
    what, others = f"against codetext, {name}", [m[3] for m in measured]
    if python is None:
        yield not_run(_NAME, what, "give --peers with PEERS/codetext; see scripts/bench-corpora")
        return
    notes = f"{size}; {others[0][1]:g} pairs of codetext"
    of_peer = peer_version(options, "codetext")
    yield ratio_row(_NAME, what, ours, [seconds for seconds, _ in others], "CPU s", _PEER_BAR, notes, of_peer)


def _parser_version() -> str:
    return f"tree-sitter {version('tree-sitter')}, tree-sitter-cpp {version('tree-sitter-cpp')}"


def _pass(files: Sequence[_File]) -> tuple[float, float, float]:
    """CPU seconds of ours, of the parser alone, in turn for each file, and of parsing documented bodies."""
    alone, ours, parsed, bodies = parser(), 0.0, 0.0, 0.0
    for file in files:
        raw = file.text.encode()
        start = time.process_time()
        alone.parse(raw)
        between = time.process_time()
        facts = read_functions(file.text, file.macros)
        behind = time.process_time()
        for function in facts.functions:
            has_torn_body(function, facts.blanked)
        parsed, ours, bodies = parsed + between - start, ours + behind - between, bodies + time.process_time() - behind
    return ours, parsed, bodies


@contextmanager
def _codetext(python: Path | None, files: Sequence[_File]) -> Iterator[_Peer]:
    """A function that gives (CPU seconds, pairs) of one pass of the peer."""
    if python is None:
        yield lambda: (0.0, 0.0)
        return
    with tempfile.TemporaryDirectory(prefix="cpp-pipeline-bench-") as folder:
        for number, file in enumerate(files):
            (Path(folder) / f"{number:06}.cpp").write_bytes(file.text.encode())
        command = [str(python), "-I", str(_WORKER), folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def ask() -> tuple[float, float]:
                print("again", file=process.stdin, flush=True)
                answer = process.stdout.readline() if process.stdout else ""
                if not answer:
                    raise RuntimeError(f"codetext ended without an answer: {' '.join(command)}")
                found = json.loads(answer)
                return found["cpu_seconds"], found["pairs"]

            yield ask
            process.stdin.close()


def _left_out(files: Sequence[_File]) -> Iterator[Row]:
    """Documented functions (start, name) with bodies left out of parsing, against the full parse."""
    every = Counter[str]()
    for tree in dict.fromkeys(f.tree for f in files):
        count, differences = Counter[str](), []
        for file in (f for f in files if f.tree == tree):
            cut = {(f.start_byte, f.name) for f in read_functions(file.text, file.macros).functions}
            full = {(f.start_byte, f.name) for f in all_functions(file.text, file.macros) if f.doc_raw}
            count.update(same=len(cut & full), lost=len(full - cut), new=len(cut - full))
            differences += [f"lost: {file.path}:{at} {name}" for at, name in sorted(full - cut)]
            differences += [f"new: {file.path}:{at} {name}" for at, name in sorted(cut - full)]
        every.update(count)
        yield _agreement(tree, count, 0.98, differences)
    yield _agreement("all trees", every, 0.998, [])


def _agreement(tree: str, count: Counter[str], least: float, differences: list[str]) -> Row:
    recall = count["same"] / max(1, count["same"] + count["lost"])
    precision = count["same"] / max(1, count["same"] + count["new"])
    return Row(
        _NAME,
        f"bodies left out against the full parse, {tree}",
        f"recall {recall:.4f}, precision {precision:.4f}",
        notes=f"{count['same'] + count['lost']} functions of the full parse",
        bar=f">= {least:g}",
        ok=min(recall, precision) >= least,
        details=differences,
    )


def _counts(files: Sequence[_File]) -> Iterator[Row]:
    found: dict[str, Counter[str]] = {}
    refused = []
    for file in files:
        facts = read_functions(file.text, file.macros)
        count = found.setdefault(file.tree, Counter())
        count["documented"] += len(facts.functions)
        torn = (f.has_parse_error or has_torn_body(f, facts.blanked) for f in facts.functions)
        count["with a parse error"] += sum(torn)
        count["bare"] += len(facts.bare)
        count["documented declarations"] += len(facts.declarations)
        if facts.refused is not None:
            refused.append(f"{file.tree}/{file.path}: {facts.refused}")
    for tree, count in found.items():
        yield Row(_NAME, f"found, {tree}", ", ".join(f"{n} {what}" for what, n in count.items()))
    yield Row(_NAME, "files refused", str(len(refused)), details=refused)
