"""A forked command begins, ends and dies as one with a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpp_pipeline.launch.warm import Warm, WarmProcessEnded, can_be_forked
from cpp_pipeline_tests.launch.test_tether import alive

pytestmark = pytest.mark.skipif(not can_be_forked(), reason="no Linux, or a GPU: every command has its own process")

COMMAND = """
import json, os, sys, time
known = "loaded" in sys.modules
facts = dict(arguments=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ), name=__name__)
facts |= dict(known=known, above=os.getppid(), pid=os.getpid())
print("told", flush=True)
if sys.argv[1] != "wait":
    json.dump(facts, open("facts.json", "w"))
else:
    try:
        json.dump(facts, open("facts.json", "w"))
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(5)
if sys.argv[1] == "crash":
    os.kill(os.getpid(), 9)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a module to load and a command."""
    (tmp_path / "loaded.py").write_text("import os\nopen('loads', 'a').write('x')\n")
    (tmp_path / "command.py").write_text(COMMAND)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path


@pytest.fixture
def warm(folder: Path) -> Iterator[Warm]:
    found = Warm("loaded")
    yield found
    found.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Commands inherit that SIGINT is ignored, as it is where a shell runs the tests in the background."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


def facts(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "facts.json").read_text()))


def wait_for_facts(folder: Path) -> dict[str, object]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return facts(folder)
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.02)
    raise AssertionError("the command has not begun")


def test_each_command_has_its_own_arguments_folder_environment_and_code(
    warm: Warm, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder / "inside"
    inside.mkdir()
    above = set()
    for place, code in ((folder, "3"), (inside, "0")):
        monkeypatch.chdir(place)
        command = warm.start("command", [code, "é \udc80"], {**os.environ, "DAGSTER_PIPES_X": code})
        assert command.wait() == int(code)
        found = facts(place)
        assert (found["arguments"], found["folder"], found["name"]) == ([code, "é \udc80"], str(place), "__main__")
        assert found["environment"] == {**os.environ, "DAGSTER_PIPES_X": code}
        assert found["known"] and found["pid"] == command.pid
        above.add(found["above"])
    assert len(above) == 1 and (folder / "loads").read_text() == "x"


def test_its_output_is_ours_of_that_time(warm: Warm, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert warm.start("command", ["0"], os.environ).wait() == 0
    assert capfd.readouterr().out == "told\n"
    before = os.dup(1)
    with (folder / "elsewhere").open("w") as file:
        os.dup2(file.fileno(), 1)
        try:
            assert warm.start("command", ["0"], os.environ).wait() == 0
        finally:
            os.dup2(before, 1)
            os.close(before)
    assert (folder / "elsewhere").read_text() == "told\n" and capfd.readouterr().out == ""
    assert warm.start("no_such_module", [], os.environ).wait() == 1
    assert "No module named no_such_module" in capfd.readouterr().err


def test_one_that_dies_is_told_and_the_next_one_runs(warm: Warm, folder: Path) -> None:
    assert warm.start("command", ["crash"], os.environ).wait() == -signal.SIGKILL
    assert warm.start("command", ["0"], os.environ).wait() == 0
    assert (folder / "loads").read_text() == "x"


@pytest.mark.usefixtures("interruptible")
def test_signals_act_as_on_any_process(warm: Warm, folder: Path) -> None:
    for number, code in ((signal.SIGINT, 5), (signal.SIGTERM, -signal.SIGTERM)):
        command = warm.start("command", ["wait"], os.environ)
        wait_for_facts(folder)
        with pytest.raises(TimeoutError):
            command.wait(0.05)
        command.send_signal(number)
        assert command.wait() == code
        (folder / "facts.json").unlink()


def test_one_that_nobody_waited_for_is_ended_by_the_next(warm: Warm, folder: Path) -> None:
    left = warm.start("command", ["wait"], os.environ)
    wait_for_facts(folder)
    assert warm.start("command", ["7"], os.environ).wait() == 7
    assert not alive(left.pid)


def test_where_the_environment_differs_all_is_loaded_anew(warm: Warm, folder: Path) -> None:
    for value in "aab":
        assert warm.start("command", ["0"], {**os.environ, "VALUE": value}).wait() == 0
    assert (folder / "loads").read_text() == "xx"


def test_a_lost_process_takes_its_command_along_and_is_replaced(warm: Warm, folder: Path) -> None:
    command = warm.start("command", ["wait"], os.environ)
    os.kill(int(str(wait_for_facts(folder)["above"])), signal.SIGKILL)
    with pytest.raises(WarmProcessEnded, match="has ended"):
        command.wait(30)
    deadline = time.monotonic() + 20
    while alive(command.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(command.pid)
    assert warm.start("command", ["0"], os.environ).wait() == 0


def test_nothing_outlives_who_asked(folder: Path) -> None:
    script = (
        "import os; from cpp_pipeline.launch.warm import Warm\n"
        "Warm('loaded').start('command', ['wait'], os.environ).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    found = wait_for_facts(folder)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    pids = [int(str(found[name])) for name in ("above", "pid")]
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_a_process_of_several_threads_is_not_forked(warm: Warm, folder: Path) -> None:
    (folder / "loaded.py").write_text("import threading; threading.Thread(target=threading.Event().wait).start()\n")
    with pytest.raises(WarmProcessEnded, match="several threads is not forked: python"):
        warm.start("command", ["0"], os.environ)


def test_a_module_that_cannot_be_loaded_is_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WarmProcessEnded):
        Warm("no_such_module").start("command", ["0"], os.environ)
    assert "No module named 'no_such_module'" in capfd.readouterr().err
