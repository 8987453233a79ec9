"""A full disk: the writer fails plainly, what was there stays, and nothing half is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cpp_pipeline_tests.namespaces import needs_own_mounts

WRITER = """
import random, sys
from pathlib import Path
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.space import told_plainly
from cpp_pipeline.storage.store import Provenance, Store

root = sys.argv[1]
store, draw = Store(root), random.Random(0)

def write(key, rows):
    listing = [{"dump": key, "path": draw.randbytes(40).hex(), "size_bytes": 1, "sha256": "0"} for _ in range(rows)]
    stamp = Provenance("repo_dump", key, "code", "config", "inputs", "version", 1)
    with told_plainly(root):
        store.write_table(TABLES["repo_dump"].frame(listing), stamp)

write("small", 10)
try:
    write("large", 80_000)
except RuntimeError as error:
    print(error)
print(store.partitions("repo_dump"), store.scan("repo_dump").collect().height)
print([p.name for p in Path(root).rglob("*") if p.is_file() and not p.name.startswith(".")])
"""


def test_a_table_that_finds_no_room_is_told_and_leaves_nothing_half(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"
    needs_own_mounts(mount)
    script = f'{mount} && exec "$0" -c "$1" {tmp_path}/root'
    argv = ["unshare", "--mount", "sh", "-c", script, sys.executable, WRITER]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    for words in ("The disk is full", f"MiB free at {tmp_path}/root", "Free some space", "what is finished is kept"):
        assert words in done.stdout
    assert done.stdout.splitlines()[-2:] == ["['small'] 10", "['small.parquet']"]
