"""The canaries through a controller: attacks, with scoring by exit code as control, and programs of known verdict."""

from __future__ import annotations

from benchmarks.common.controller import controller
from benchmarks.common.rows import Options, Row
from cpp_pipeline.sandbox.canaries import MODES, run_canaries
from cpp_pipeline.sandbox.client import SandboxClient

_NAME = "sandbox_attacks"
_FOOLED = 20


def run(options: Options) -> list[Row]:
    """How many attacks pass more tests than their body deserves, here and by exit code."""
    modes = options.size(MODES, ("rpc", "exit_code"))
    with controller(options.workers) as ours, SandboxClient(ours.url) as client:
        found = run_canaries(client, modes)
    attacks = [row for row in found if row["kind"] == "attack"]
    programs = [row for row in found if row["kind"] in ("program", "correct")]
    control = next(row for row in found if row["kind"] == "control")
    gained = [f"{row['canary_id']}: {row['detail']}" for row in attacks if not row["ok"]]
    wrong = [f"{row['canary_id']}: {row['verdict']}, not {row['expected']}" for row in programs if not row["ok"]]
    distinct = len({row["canary_id"].rpartition("/")[2] for row in attacks})
    what = f"attacks that gain anything ({distinct}, each with every form of tests)"
    deceived = f"{control['tests_passed']} of {control['tests_total']}"
    return [
        Row(_NAME, what, f"{len(gained)} of {len(attacks)}", deceived, bar="0", ok=not gained, details=gained),
        Row(
            _NAME,
            "control: attacks that deceive scoring by exit code",
            "",
            deceived,
            bar=f">= {_FOOLED}",
            ok=control["tests_passed"] >= _FOOLED and not control["detail"],
            notes=control["detail"],
        ),
        Row(
            _NAME,
            "programs of known verdict that are judged right",
            f"{len(programs) - len(wrong)} of {len(programs)}",
            bar="all",
            ok=not wrong,
            details=wrong,
        ),
    ]
