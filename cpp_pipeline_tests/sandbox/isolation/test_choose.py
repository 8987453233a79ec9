"""Which backend is chosen, and that a weak or missing one is refused with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation import Box, IsolationError
from cpp_pipeline.sandbox.isolation.bubblewrap import Bubblewrap
from cpp_pipeline.sandbox.isolation.choose import BACKENDS, open_backend
from cpp_pipeline.sandbox.isolation.gvisor import Gvisor
from cpp_pipeline.sandbox.isolation.seccomp import denylist
from cpp_pipeline.sandbox.isolation.unsafe import Unsafe

_WEAKER = """#!/bin/bash
args=()
while [ $# -gt 0 ]; do
  case "$1" in
    {case}
  esac
  args+=("$1"); shift
done
exec env -i /usr/bin/bwrap "${{args[@]}}"
"""


def _weak(folder: Path, case: str) -> str:
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    program = folder / "weak"
    program.write_text(_WEAKER.format(case=case.replace("{shared}", str(shared))))
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("case", "probes"),
    [
        ("--seccomp) shift 2; continue;;", {"ptrace", "inet", "vsock", "user_namespace", "io_uring"}),
        ("--unshare-all) args+=(--unshare-user --unshare-pid --unshare-uts); shift; continue;;", {"host_socket"}),
        ("--size) args+=(--ro-bind /tmp /tmp); shift 4; continue;;", {"host_file"}),
        ("--size) args+=(--bind {shared} /tmp); shift 4; continue;;", {"scratch_of_others", "fill_disk"}),
        ("--chdir) args+=(--bind /dev/shm /dev/shm);;", {"write_shared"}),
        ("--hostname) args+=(--ro-bind /etc /etc);;", {"shadow"}),
        ("--remount-ro) shift 2; continue;;", {"write_outside"}),
        ("--proc) args+=(--ro-bind /proc /proc); shift 2; continue;;", {"processes"}),
        ("--clearenv) args+=(--clearenv --setenv TOKEN secret); shift; continue;;", {"environment"}),
        ("/jail) if [ $2 = -l ]; then shift 19; continue; fi;;", {"fork_cap", "raise_limits"}),
    ],
)
def test_weakened_bubblewrap_is_refused_by_the_names_of_the_probes(folder: Path, case: str, probes: set[str]) -> None:
    with pytest.raises(IsolationError, match="these probes are open: ") as caught:
        open_backend("bubblewrap", folder, bwrap=_weak(folder, case))
    found = set(str(caught.value).rsplit(": ", 1)[1].split(", "))
    assert probes <= found


def test_wrapper_that_weakens_nothing_is_accepted(folder: Path) -> None:
    boxes = open_backend("bubblewrap", folder, bwrap=_weak(folder, "none) ;;"))
    assert boxes.run(Box(["/bin/echo", "works"])).stdout == b"works\n"
    boxes.close()


def test_auto_is_bubblewrap_and_otherwise_landlock(folder: Path) -> None:
    boxes = open_backend("auto", folder)
    assert (boxes.name, boxes.level) == ("bubblewrap", "namespaces")
    boxes.close()
    if os.geteuid() == 0:
        boxes = open_backend("auto", folder, bwrap="/nonexistent/bwrap")
        assert (boxes.name, boxes.level) == ("landlock", "process")
        boxes.close()


def test_missing_programs_are_named_with_the_remedy(folder: Path) -> None:
    with pytest.raises(IsolationError, match="apt-get install bubblewrap"):
        Bubblewrap(folder, "/nonexistent/bwrap")
    with pytest.raises(IsolationError, match="apt-get install runsc"):
        Gvisor(folder, "/nonexistent/runsc")
    with pytest.raises(ValueError, match=", ".join(BACKENDS)):
        open_backend("docker", folder)


def test_no_compiler_for_the_launcher(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = folder / "bin"
    tools.mkdir()
    (tools / "bwrap").symlink_to("/usr/bin/bwrap")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(IsolationError, match="apt-get install gcc"):
        Bubblewrap(folder)


def test_box_that_cannot_start_is_no_result(folder: Path) -> None:
    failing = folder / "failing"
    failing.write_text("#!/bin/sh\necho no namespaces here >&2\nexit 1\n")
    failing.chmod(0o755)
    boxes = Bubblewrap(folder, str(failing))
    with pytest.raises(IsolationError, match="did not start.*no namespaces here"):
        boxes.run(Box(["/bin/true"]))
    boxes.close()


@pytest.mark.parametrize(("caller", "machine"), [(False, False), (True, False), (False, True), (True, True)])
def test_no_isolation_needs_two_consents_and_no_root(folder: Path, caller: bool, machine: bool) -> None:
    if caller and machine and os.geteuid() != 0:
        pytest.skip("what happens with both consents is tried as another user, in test_leftovers")
    with pytest.raises(IsolationError, match="root" if caller and machine else "CPP_PIPELINE_ALLOW_UNSAFE=1"):
        Unsafe(folder, caller, machine)


def test_filter_is_known_for_two_architectures_only() -> None:
    programs = {denylist(machine, namespaces) for machine in ("x86_64", "aarch64") for namespaces in (True, False)}
    assert len(programs) == 4
    assert all(len(program) % 8 == 0 for program in programs)
    with pytest.raises(ValueError, match="mips"):
        denylist("mips")
