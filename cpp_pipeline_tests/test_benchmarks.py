"""The frame of the benchmark: figures, the page, and the programs that ours and the peer are compared on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.__main__ import main
from benchmarks.__main__ import subjects as all_subjects
from benchmarks.common import processes, report
from benchmarks.common.humaneval import at_the_beginning, mutants
from benchmarks.common.machine import LOAD, facts
from benchmarks.common.rows import NOT_RUN, Options, Row, percentile, ratio_row
from benchmarks.sandbox_leftovers import jobs
from benchmarks.sandbox_speed import Turn, sample, speed_rows
from cpp_pipeline.sandbox.cpp.lexer import normalised
from cpp_pipeline.sandbox.types import Job

CODE = "int twice(int a) {\n    if (a < 0) {\n        return 0;\n    }\n    return a + a;\n}\n"
JOB = Job(
    "p", CODE, "int twice(int a)", preamble="#include <vector>\n", test_code="int main() { assert(twice(1) == 2); }\n"
)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert sum(v < found for v in values) < share * len(values)


def test_the_ratio_is_that_of_each_turn() -> None:
    row = ratio_row("s", "w", ours=[1.0, 2.0, 4.0], peer=[6.0, 10.0, 28.0], unit="s", least=6.5)
    assert row.ratio == 6.0
    assert row.ok is False
    assert "5.00 to 7.00" in row.spread
    assert (row.low, row.high) == (5.0, 7.0)


def test_turns_are_the_subjects_own_unless_asked_otherwise() -> None:
    assert [Options(None, 1, quick).turns(5) for quick in (False, True)] == [5, 1]
    assert Options(None, 1, repeats=3).turns(5) == 3


def test_the_page_shows_every_row_and_what_did_not_hold(tmp_path: Path) -> None:
    rows = [Row("one", "a|b", "1 s", "3 s", 3.0, "2.9 to 3.1", ">= 2x", True, 2.0, "a note", ("a detail",), "peer 1.2")]
    two = report.measured([Row("two", "c", "7", bar="0", ok=False)], 3.0, facts())
    report.write({"one": report.measured(rows, 60.0, facts()), "two": two}, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    for text in ("## one", "## two", "| a/b | 1 s | 3 s | 3.00x |", "| NO |", "a note", "a detail", "kernel", "g++"):
        assert text in page
    assert f"| peer 1.2 | {two.day} on M1 |" in page
    assert (tmp_path / "benchmarks.png").stat().st_size > 1000


def test_one_subject_measured_again_leaves_the_others(tmp_path: Path) -> None:
    values = (("one", "1.25 s"), ("two", "7.5 s"))
    one, two = (report.measured([Row(name, "a", value)], 1.0, facts()) for name, value in values)
    report.write({"two": two, "one": one}, tmp_path)
    report.write({"one": report.measured([Row("one", "a", "0.75 s", details=["new"])], 2.0, facts())}, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "0.75 s" in page
    assert "7.5 s" in page
    assert "1.25 s" not in page
    assert page.index("## one") < page.index("## two")


def test_rows_of_another_machine_say_so(tmp_path: Path) -> None:
    here = report.measured([Row("one", "a", "1 s")], 1.0, facts())
    there = report.Measured([Row("two", "b", "2 s")], "2020-02-02", None, [("cores", "64")])
    report.write({"one": here}, tmp_path)
    report.write({"two": there}, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "* M2: cores: 64\n" in page
    assert "2020-02-02 on M2 |" in page
    assert f"{here.day} on M1 |" in page
    assert page == report.page({"one": here, "two": there})


def test_a_subject_that_was_never_run_says_so(tmp_path: Path) -> None:
    report.write({"two": report.measured([Row("two", "b", "2 s")], 1.0, facts())}, tmp_path, ["one", "two", "three"])
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.index("## one\n\nnot run") < page.index("## three\n\nnot run") < page.index("## two\n\n|")


def test_what_was_measured_stays_where_it_could_not_be_run_again(tmp_path: Path) -> None:
    without = [Row("one", "a", NOT_RUN)]
    report.write({"one": report.measured([Row("one", "a", "1 s")], 1.0, facts())}, tmp_path)
    report.write(
        {"one": report.measured(without, 0.1, facts()), "two": report.measured(without, 0.1, facts())}, tmp_path
    )
    found = report.kept(tmp_path / "benchmarks.json")
    assert [found[name].rows[0].ours for name in ("one", "two")] == ["1 s", NOT_RUN]


def test_every_subject_says_how_long_it_took_and_how_busy_the_machine_was_before(tmp_path: Path) -> None:
    machine = [("cores", "2"), (LOAD, "0.25")]
    report.write({"one": report.measured([Row("one", "a", "1 s")], 42.0, machine)}, tmp_path)
    assert "in 42 s, load average at the start 0.25\n" in (tmp_path / "benchmarks.md").read_text()
    assert LOAD in dict(facts())


def test_the_page_in_docs_is_that_of_the_rows_beside_it() -> None:
    docs = Path(__file__).parents[1] / "docs"
    subjects = report.kept(docs / "benchmarks.json")
    assert (docs / "benchmarks.md").read_text() == report.page(subjects, all_subjects())
    assert set(subjects) <= set(all_subjects())


def test_what_was_measured_is_kept_when_a_later_subject_fails(tmp_path: Path) -> None:
    broken = tmp_path / "problems.jsonl"
    broken.write_text("no json\n")
    with pytest.raises(ValueError):
        main(["data_repairs", "sandbox_verdicts", "--quick", "--humaneval", str(broken), "--out", str(tmp_path)])
    assert set(report.kept(tmp_path / "benchmarks.json")) == {"data_repairs"}


def test_without_its_data_a_subject_is_not_run_and_the_others_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox_speed", "sandbox_verdicts", "data_repairs", "--quick"]) == 0
    told = capsys.readouterr().out
    assert told.count("not run") == 3
    assert told.count("--humaneval") == 2
    assert "3 rows, 0 bars missed" in told


def test_verdicts_are_compared_with_plain_gxx_and_with_the_way_of_multipl_e() -> None:
    turns = [Turn(ours=0.1, plain=1.0, multipl_e=0.5, together=0.75), Turn(0.1, 1.2, 0.6, 0.75)]
    plain, looked_up = speed_rows(("bits", "repeated", "test_code"), turns, problems=2)
    assert (plain.ratio, looked_up.ratio) == (pytest.approx(11), pytest.approx(5.5))
    assert plain.spread and looked_up.spread
    assert plain.what != looked_up.what
    assert "MultiPL-E" in looked_up.against and "MultiPL-E" not in plain.against
    assert plain.against.startswith("g++") or "not installed" in plain.against


def test_every_subject_is_found_and_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"sandbox_attacks", "sandbox_speed", "sandbox_verdicts"} <= set(all_subjects())
    assert main(["no_such_subject"]) == 2
    assert "sandbox_speed" in capsys.readouterr().err
    assert main(["sandbox_verdicts", "--humaneval", "/nonexistent"]) == 2
    assert "--humaneval" in capsys.readouterr().err
    assert main(["model_gspo", "--nanochat", "/nonexistent"]) == 2
    assert "/nonexistent" in capsys.readouterr().err


def test_mutants_change_the_body_and_nothing_else() -> None:
    found = list(mutants(CODE, random.Random(1)))
    assert len(found) == len(set(found)) >= 4
    for code in found:
        assert code != CODE
        assert code.startswith("int twice(int a) {")
    assert found == list(mutants(CODE, random.Random(1)))
    assert at_the_beginning(f"int help() {{ return 1; }}\n{CODE}", "// here").index("// here") > 20


@pytest.mark.parametrize("headers", ["bits", "native"])
def test_sixteen_solutions_of_which_nine_differ(headers: str) -> None:
    found = sample(JOB, headers, seed=3)
    assert len(found.unique) == len(found.repeated) == 16
    assert len({normalised(job.code) for job in found.unique}) == 16
    assert len({job.code for job in found.repeated}) == 12
    assert len({normalised(job.code) for job in found.repeated}) == 9
    assert ("<bits/stdc++.h>" in found.unique[0].preamble) == (headers == "bits")


def test_hostile_programs_are_all_distinct() -> None:
    assert len({normalised(job.code) for job in jobs(0, 200)}) == 200


def test_cpu_time_of_what_has_ended_and_of_what_still_runs_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    argv = [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n{burn}"]
    argv[-1] += "print(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in processes.descendants(os.getpid())
        assert processes.cpu_seconds(child.pid) >= 0.55
    with pytest.raises(ProcessLookupError):
        processes.cpu_seconds(child.pid)
