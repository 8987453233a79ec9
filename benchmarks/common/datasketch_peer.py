"""Near duplicates by datasketch, as its documentation shows: `python datasketch_peer.py TEXTS.jsonl PAIRS.json`.

Run by the interpreter of an environment that holds datasketch and nothing of this project. Prints CPU seconds and
peak memory as JSON.
"""

import json
import re
import resource
import sys
import time

from datasketch import MinHash, MinHashLSH

MIN_TOKENS = 30
TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'|\w+|\S""", re.DOTALL
)  # fmt: skip


def main() -> None:
    """Read, sign, query; a pair counts when the estimated similarity is at least 0.8."""
    started = time.process_time()
    lsh = MinHashLSH(threshold=0.8, num_perm=128)
    sketches = {}
    with open(sys.argv[1]) as lines:
        for number, line in enumerate(lines):
            parts = [m.group() for m in TOKEN.finditer(json.loads(line)) if m.lastgroup != "skip"]
            if len(parts) >= MIN_TOKENS:
                sketches[number] = MinHash(num_perm=128)
                sketches[number].update_batch({"\0".join(parts[i : i + 5]).encode() for i in range(len(parts) - 4)})
    with lsh.insertion_session() as session:
        for number, sketch in sketches.items():
            session.insert(number, sketch)
    pairs = [
        (number, other)
        for number, sketch in sketches.items()
        for other in lsh.query(sketch)
        if other > number and sketch.jaccard(sketches[other]) >= 0.8
    ]
    cpu = time.process_time() - started
    with open(sys.argv[2], "w") as file:
        json.dump(pairs, file)
    print(json.dumps({"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
