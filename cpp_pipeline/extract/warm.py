"""Loads the parser and the compiled kernels when it is imported.

Belongs here: what workers share from their start. Only the server that forks them imports this (`pool.py`).
"""

from __future__ import annotations

import gc
import os

# Before polars and numpy are loaded: a worker is one of many, and the stacks of threads count as its memory.
os.environ.update(POLARS_MAX_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import cpp_pipeline.extract.passes  # noqa: F401
from cpp_pipeline.extract.functions import read_functions
from cpp_pipeline.extract.token_table import token_table

read_functions("#define A\nA int f() { return 0; }", ("A",))
token_table(["int f();"])

# What is loaded by now is never garbage, and a batch makes many objects without cycles: of the work, looking for cycles
# was 4 %.
gc.freeze()
gc.set_threshold(50_000)
