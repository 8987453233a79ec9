"""Rows come back from their scratch file as they went in; a wrong value is an error, not another value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.dumps.spool import Spool
from cpp_pipeline.schemas import TABLES

LISTING = TABLES["repo_dump"]
ROW: dict[str, Any] = {"dump": "d", "path": "src/\u00e4.cpp", "size_bytes": 2**40, "sha256": "0"}


def test_rows_come_back_in_order_and_with_their_types(tmp_path: Path) -> None:
    rows = [{**ROW, "size_bytes": n} for n in (3, 1, 2)]
    with Spool(LISTING, tmp_path / "rows.parquet") as spool:
        for row in rows:
            spool.add(row)
    found = spool.scan().collect()
    assert found.to_dicts() == rows and found.schema == LISTING.schema


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"size_bytes": "7"}, TypeError), ({"size_bytes": 2**70}, TypeError), ({"path": "\udc80"}, UnicodeEncodeError)],
)
def test_a_value_that_does_not_fit_is_refused(tmp_path: Path, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error), Spool(LISTING, tmp_path / "rows.parquet") as spool:
        spool.add({**ROW, **wrong})


def test_pandas_is_not_imported_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cpp_pipeline.dumps.spool import Spool;"
        "from cpp_pipeline.schemas import TABLES; spool = Spool(TABLES['repo_dump'], Path(sys.argv[1]));"
        f"spool.add({ROW!r}); spool.__exit__(None, None, None); print('pandas' in sys.modules)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "rows.parquet")]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "False"
