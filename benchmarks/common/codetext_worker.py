"""What codetext extracts of C++ files: a script for the peer's own interpreter, with nothing of this project in it.

The argument is a folder; all its files are read first. For each line on stdin one pass: parse every file, and for each
function with a comment its metadata, its comment and its text, as the peer's own `extract` does. Answers one JSON line:
`cpu_seconds` of the pass and the number of `pairs`. The peer's way to the grammar clones a repository at run time, so
the same grammar comes from `tree_sitter_languages`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

from codetext.parser import CppParser

warnings.simplefilter("ignore", FutureWarning)
from tree_sitter_languages import get_parser  # noqa: E402


def _pass(sources: list[bytes]) -> dict[str, float]:
    parser, pairs = get_parser("cpp"), 0
    before = time.process_time()
    for source in sources:
        root = parser.parse(source).root_node
        for function in CppParser.get_function_list(root):
            comment = CppParser.get_docstring(function)
            if comment:
                CppParser.get_function_metadata(function)
                function.text.decode("utf-8", "replace")
                pairs += 1
    return {"cpu_seconds": time.process_time() - before, "pairs": pairs}


if __name__ == "__main__":
    texts = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    for _line in sys.stdin:
        print(json.dumps(_pass(texts)), flush=True)
