"""What every backend promises of one box: result, streams, caps."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation import Backend, Box, BoxResult, Limits
from cpp_pipeline_tests.sandbox.isolation.conftest import Guest


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("exit", 0), 0),
        (("exit", 3), 3),
        (("raise", 9), 137),
        (("raise", 15), 143),
        (("abort",), 134),
        (("segv",), 139),
    ],
)
def test_exit_code_is_that_of_the_command_or_of_its_signal(guest: Guest, words: tuple[object, ...], code: int) -> None:
    result = guest(*words)
    assert (result.exit_code, result.timed_out, result.flooded) == (code, False, False)
    assert result.killed == (code == 137)


def test_a_command_dies_of_signals_that_the_service_ignores_or_blocks(guest: Guest) -> None:
    ignored = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGALRM])
    try:
        codes = [guest("raise", int(number)).exit_code - 128 for number in (signal.SIGTERM, signal.SIGUSR1)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGTERM, ignored)
    assert codes == [signal.SIGTERM, signal.SIGUSR1]


def test_bytes_and_files_arrive_and_nothing_else_is_there(boxes: Backend, folder: Path) -> None:
    (folder / "given").write_bytes(b"read me")
    out = folder / "out"
    out.mkdir()
    os.chown(out, boxes.uid, -1)
    script = "cat; cat /box/given; echo $NAME > /out/made; echo x > /tmp/y; cat /tmp/y; echo bad > /box/given"
    result = boxes.run(
        Box(
            ["/bin/sh", "-c", script],
            stdin=bytes(range(256)) * 1000,
            readonly=[(str(folder / "given"), "/box/given")],
            writable=[(str(out), "/out")],
            environment={"NAME": "value of ours"},
        )
    )
    assert result.stdout == bytes(range(256)) * 1000 + b"read mex\n"
    assert (out / "made").read_text() == "value of ours\n"
    assert (folder / "given").read_bytes() == b"read me"
    assert re.search(rb"cannot create /box/given", result.stderr)  # named as in the box, also where it has other names


def test_environment_holds_nothing_of_ours(boxes: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "token")
    shown = boxes.run(Box(["/usr/bin/env"])).stdout.decode().splitlines()
    assert {line.split("=")[0] for line in shown} <= {"PATH", "LC_ALL", "MALLOC_PERTURB_", "PWD", "TMPDIR", "HOME"}


def test_uid_is_not_that_of_root_and_what_a_box_writes_is_gone_in_the_next(boxes: Backend) -> None:
    first = boxes.run(Box(["/bin/sh", "-c", "id -u; touch /tmp/left"]))
    assert int(first.stdout) != 0
    assert boxes.run(Box(["/bin/sh", "-c", "test -e /tmp/left || echo none"])).stdout == b"none\n"


def test_own_proc_is_there_when_asked_for(boxes: Backend) -> None:
    shown = boxes.run(Box(["/bin/cat", "/proc/self/comm", "/proc/self/maps"], proc=True))
    assert shown.exit_code == 0
    assert shown.stdout.startswith(b"cat\n")


def test_two_boxes_talk_over_pipes_in_both_directions(boxes: Backend) -> None:
    ask_read, ask_write = os.pipe()
    answer_read, answer_write = os.pipe()
    script_asking = "for i in 1 2 3; do echo $i; read answer; echo got $answer >&2; done"
    script_answering = "while read question; do echo answer $question; done; echo end >&2"
    done: dict[str, BoxResult] = {}

    def run(name: str, script: str, source: int, sink: int) -> None:
        try:
            done[name] = boxes.run(Box(["/bin/sh", "-c", script], stdin=source, stdout=sink))
        finally:
            os.close(source)
            os.close(sink)

    threads = [
        threading.Thread(target=run, args=("asking", script_asking, answer_read, ask_write)),
        threading.Thread(target=run, args=("answering", script_answering, ask_read, answer_write)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done["asking"].stderr == b"got answer 1\ngot answer 2\ngot answer 3\n"
    assert done["answering"].stderr == b"end\n"  # the end of the one is the end of the other's input
    assert done["asking"].stdout == b""


def test_wall_clock(guest: Guest) -> None:
    for words in (("mute",), ("orphan",), ("spin",)):
        result = guest(*words, limits=Limits(wall_seconds=1.0, cpu_seconds=30))
        assert result.timed_out == (words != ("orphan",)), words
        assert not result.killed


def test_processor_time_also_of_a_program_that_ignores_the_warning(boxes: Backend, guest: Guest) -> None:
    # gVisor of 2022 does not count on this kernel: there the deadline has to do
    wall = 3.0 if boxes.level == "kernel" else 120.0
    result = guest("spin", limits=Limits(wall_seconds=wall, cpu_seconds=1))
    assert result.exit_code == 137
    assert not result.timed_out or boxes.level == "kernel"


def test_memory_of_a_process(guest: Guest) -> None:
    assert guest("use", 64).exit_code == 0
    assert guest("use", 600).exit_code == 7


def test_memory_of_all_processes_together(boxes: Backend, guest: Guest) -> None:
    if not boxes.cgroup:
        pytest.skip("this machine lets nobody make control groups: each process is bounded alone")
    limits = Limits(memory_bytes=200 << 20)
    assert guest("eat", 7, limits=limits).out_of_memory
    assert not guest("eat", 2, limits=limits).out_of_memory


def test_memory_of_the_group_holds_without_a_limit_of_address_space(boxes: Backend, guest: Guest) -> None:
    if not boxes.cgroup:
        pytest.skip("this machine lets nobody make control groups: each process is bounded alone")
    limits = Limits(memory_bytes=128 << 20, address_space=False)
    result = guest("use", 600, limits=limits)
    assert result.out_of_memory
    assert not result.killed
    assert guest("use", 32, limits=limits).exit_code == 0


def test_number_of_processes(guest: Guest) -> None:
    result = guest("bomb", limits=Limits(wall_seconds=1.0, processes=20))
    assert result.timed_out or result.exit_code != 0
    assert guest("exit", 0).exit_code == 0


def test_output_is_kept_to_the_byte_and_no_further(boxes: Backend, guest: Guest) -> None:
    limits = Limits(output_bytes=10_000)
    exact = boxes.run(Box(["/usr/bin/head", "-c", "10000", "/dev/zero"], limits))
    assert (len(exact.stdout), exact.flooded) == (10_000, False)
    over = boxes.run(Box(["/usr/bin/head", "-c", "10001", "/dev/zero"], limits))
    assert (len(over.stdout), over.flooded) == (10_000, True)
    errors = guest("err", limits=limits)
    assert (errors.stderr, errors.flooded) == (b"0123456789" * 1000, True)


def test_size_of_files(guest: Guest) -> None:
    assert guest("file", 20, limits=Limits(file_bytes=4 << 20)).stdout == b"4"


def test_space_of_the_box(guest: Guest) -> None:
    result = guest("file", 40, "stay", limits=Limits(workspace_bytes=4 << 20, file_bytes=64 << 20))
    assert result.flooded or int(result.stdout) <= 4


def test_four_threads(boxes: Backend) -> None:
    def ask(number: int) -> bytes:
        return boxes.run(Box(["/bin/cat"], stdin=str(number).encode())).stdout

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(16))) == [str(i).encode() for i in range(16)]
