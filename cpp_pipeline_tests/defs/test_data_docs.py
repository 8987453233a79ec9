"""`docs/data.md` is what the declarations say."""

from pathlib import Path

from cpp_pipeline.data_docs import COMMAND, text
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.defs.test_definitions import specs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == text(specs()), f"docs/data.md is stale; write it again: {COMMAND}"


def test_every_column_of_every_table_is_on_the_page() -> None:
    sections = dict(part.split("\n", 1) for part in PAGE.read_text().split("\n## ")[1:])
    assert sections.keys() == TABLES.keys()
    for name, table in TABLES.items():
        rows = [line.split(" | ")[0] for line in sections[name].splitlines() if line.startswith("| `")]
        assert rows == [f"| `{c.name}`" for c in table.columns], name
