"""The rules of the house: imports go one way, and loading the definitions stays light."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from pre_commit.clientlib import load_config

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cpp_pipeline"
HEAVY = (
    *("torch", "transformers", "kubernetes", "google", "matplotlib", "numba", "ibis", "duckdb", "detect_secrets"),
    "pygit2",
)


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    """Of ours: for the catalogue of its UI, Dagster itself imports every installed library that offers components."""
    code = (
        "import sys; from dagster.components.core import package_entry as catalogue;"
        "catalogue.get_plugin_entry_points = lambda: []; from cpp_pipeline.definitions import defs; defs();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_process_that_reads_a_dump_starts_light() -> None:
    """It starts for each table of each dump; without these it takes a tenth of a second, and pygit2 only for clones."""
    code = (
        "import sys; from cpp_pipeline.dumps import archives, isolated, rows;"
        f"print([m for m in {(*HEAVY, 'polars', 'pyarrow', 'numpy', 'dagster')!r} if m in sys.modules]);"
        "from cpp_pipeline.dumps import commits; print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["[]", "False"]


def test_workspace_and_dg_name_the_same_module() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert workspace["module_name"] == tool["dg"]["project"]["code_location_target_module"]
    assert workspace["module_name"] == tool["dagster"]["module_name"]
    assert workspace["location_name"] == tool["dg"]["project"]["code_location_name"]


def test_hooks_before_a_commit_are_valid_and_run_what_lint_runs() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    entries = [hook["entry"] for repo in load_config(str(path))["repos"] for hook in repo["hooks"]]
    programs = [entry.split()[0] for entry in entries]
    assert programs == [".venv/bin/ruff", ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports"]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert all(f"$(BIN)/{Path(program).name}" in lint for program in programs)
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {"ruff", "mypy", "import-linter", "pre_commit"} <= pinned


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "getenv":
                readers.add(str(path.relative_to(PACKAGE)))
            if (
                isinstance(node, ast.Call | ast.Subscript)
                and "os.environ" in (ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node))
                and not (isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.update")
            ):
                readers.add(str(path.relative_to(PACKAGE)))
    # Neither asks for a setting: the runner of a pod goes on with an empty environment, the other with its command's.
    assert readers == {"sandbox/pod/runner.py", "launch/warm.py"}


def test_definition_files_are_short() -> None:
    long = {p.name: n for p in (PACKAGE / "defs").glob("*.py") if (n := p.read_text().count("\n")) > 200}
    assert long == {}
