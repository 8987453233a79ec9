"""Commands of this machine, as an asset launches them: forked, or in a process of their own."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest

from cpp_pipeline.launch import local
from cpp_pipeline.launch.local import Launcher
from cpp_pipeline.launch.warm import Warm, can_be_forked
from cpp_pipeline_tests.launch.test_tether import alive

COMMAND = """
import json, os, pathlib, signal, sys, time
from dagster_pipes import open_dagster_pipes
out = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
with open_dagster_pipes() as pipes:
    pipes.log.info(f"{os.environ['OMP_NUM_THREADS']} threads")
if "--wait" in sys.argv:
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        (out / "began").write_text(str(os.getpid()))
        time.sleep(60)
    except KeyboardInterrupt:
        (out / "saved").touch()
        raise
if "--fail" in sys.argv:
    sys.exit(7)
(out / "result.json").write_text(json.dumps({"above": os.getppid()}))
"""


@pytest.fixture(params=["forked", "a process of its own"])
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """How a command is started; both have to do the same."""
    if request.param == "forked" and not can_be_forked():
        pytest.skip("no Linux, or a GPU: every command has its own process")
    (tmp_path / "command.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    warm = Warm("json")
    monkeypatch.setattr(local, "_WARM", warm)
    if request.param != "forked":
        monkeypatch.setattr(local, "can_be_forked", lambda: False)
    yield request.param
    warm.close()


class Made(NamedTuple):
    """How a run ended, and everything that is in its log."""

    success: bool
    told: str


def materialize(output: Path, **flags: object) -> Made:
    @dg.asset
    def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        Launcher(threads=3).run(context, "command", flags, output)
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([model], instance=instance, raise_on_error=False)
        told = [entry.user_message + str(entry.dagster_event or "") for entry in instance.all_logs(done.run_id)]
        return Made(done.success, "\n".join(told))


def test_a_command_reports_and_leaves_its_result(way: str, tmp_path: Path) -> None:
    outputs = [tmp_path / "a", tmp_path / "b"]
    for output in outputs:
        done = materialize(output)
        assert done.success and "3 threads" in done.told, done.told
    above = {json.loads((output / "result.json").read_text())["above"] for output in outputs}
    assert (above == {os.getpid()}) is (way != "forked") and len(above) == 1


def test_a_finished_output_is_used_as_it_is(way: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    assert materialize(tmp_path).success
    assert not (tmp_path / "began").exists()


def test_a_command_that_fails_is_told_by_its_code(way: str, tmp_path: Path) -> None:
    done = materialize(tmp_path / "out", fail=True)
    assert not done.success and "failed with code 7" in done.told


def interrupted(out: Path, **flags: object) -> Made:
    """A run that is interrupted when its command waits."""

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (out / "began").exists() and (out / "began").read_text():
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.02)

    ending = threading.Thread(target=interrupt)
    ending.start()
    done = materialize(out, wait=True, **flags)
    ending.join()
    return done


def test_a_run_that_is_ended_lets_its_command_save(way: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = interrupted(out)
    assert not done.success and "Execution was interrupted" in done.told
    assert (out / "saved").exists()
    assert not alive(int((out / "began").read_text()))


def test_a_command_that_does_not_end_keeps_no_run_from_ending(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "forked":
        pytest.skip("Dagster's own client ends such a run with an error of its own")
    monkeypatch.setattr(local, "TERMINATION_SECONDS", 0.5)
    out = tmp_path / "out"
    done = interrupted(out, deaf=True)
    assert not done.success and "Execution was interrupted" in done.told
    assert not (out / "saved").exists()
    assert not alive(int((out / "began").read_text()))


def test_where_nothing_can_be_forked_it_is_told_and_the_command_runs(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_WARM", Warm("no_such_module"))
    done = materialize(tmp_path / "out")
    assert done.success, done.told
    assert ("gets a process of its own" in done.told) is (way == "forked")
