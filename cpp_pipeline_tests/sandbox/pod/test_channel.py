"""What judge and runner send each other: files arrive whole, and nothing is believed that came from the runner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cpp_pipeline.sandbox.isolation import Box, Limits
from cpp_pipeline.sandbox.isolation.process import sealed
from cpp_pipeline.sandbox.pod.boxes import _result, _take
from cpp_pipeline.sandbox.pod.channel import Lost, Parcel, Place, content, name_senders, receive, send

OTHER = 12345
"""A uid that is not ours."""


@pytest.fixture
def links() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for link in pair:
        name_senders(link)
    yield pair
    for link in pair:
        link.close()


@pytest.mark.parametrize("kept", [False, True])
def test_files_small_and_large_arrive_with_their_modes(
    links: tuple[socket.socket, socket.socket], tmp_path: Path, kept: bool
) -> None:
    source, copies = tmp_path / "source", tmp_path / "copies"
    (source / "deep").mkdir(parents=True)
    copies.mkdir()
    given = {"small": b"abc", "deep/empty": b"", "large": os.urandom(3 << 20), "huge": os.urandom(17 << 20)}
    for name, data in given.items():
        (source / name).write_bytes(data)
    (source / "large").chmod(0o755)
    with ExitStack() as stack:
        parcel = Parcel(stack)
        told = parcel.add(source)
        send(links[0], {"told": told}, parcel.descriptors())
        record, files = receive(links[1], stack, OTHER)
        place = Place(files, content(files[0], 1 << 20), copies if kept else None)
        linked = place.make(record["told"], tmp_path / "target")
        found = {name: (tmp_path / "target" / name).read_bytes() for name in given}
        assert found == given
        assert os.access(tmp_path / "target" / "large", os.X_OK)
        assert place.make([], tmp_path / "nothing") == [] and (tmp_path / "nothing").is_dir()
        assert len(linked) == (0 if kept else 2)
        assert len(list(copies.iterdir())) == (1 if kept else 0)  # the one that is worth it


def test_a_sender_of_our_own_user_is_refused(links: tuple[socket.socket, socket.socket]) -> None:
    send(links[0], {})
    with ExitStack() as stack, pytest.raises(Lost, match="own uid"):
        receive(links[1], stack, os.geteuid())


@pytest.mark.parametrize(
    ("text", "why"), [(b"{", "cannot be read"), (b"[]", "no record"), (b" " * (9 << 20), "at most"), (None, "closed")]
)
def test_what_is_no_message_ends_the_connection(
    links: tuple[socket.socket, socket.socket], text: bytes | None, why: str
) -> None:
    if text is None:
        links[0].close()
    else:
        with sealed(text) as file:
            socket.send_fds(links[0], [b"."], [file.fileno()])
    with ExitStack() as stack, pytest.raises(Lost, match=why):
        receive(links[1], stack, OTHER)


def test_a_pipe_in_place_of_a_file_makes_nobody_wait() -> None:
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as file, pytest.raises(Lost):
        content(file, 1 << 20)
    os.close(write)


@pytest.mark.parametrize("name", ["../out", "/etc/x", "..", "", "a/b"])
def test_a_box_makes_files_in_its_own_folder_only(tmp_path: Path, name: str) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    box = Box(["x"], Limits(file_bytes=10), writable=[(str(out), "/out")])
    with sealed(b"made") as file, pytest.raises(Lost):
        _take([[0, name, False]], [file], box)
    with sealed(b"longer than ten") as file, pytest.raises(Lost):
        _take([[0, "long", False]], [file], box)
    with sealed(b"made") as file:
        _take([[0, "program", True]], [file], box)
    assert [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()] == [b"made"]


@pytest.mark.parametrize(
    "changed",
    [{"exit_code": "0"}, {"timed_out": 1}, {"wall_seconds": None}, {"more": 1}, {"exit_code": None}],
)
def test_a_result_of_another_shape_is_no_result(changed: dict[str, object]) -> None:
    good = {"exit_code": 0, "stdout": "", "stderr": "", "timed_out": False, "flooded": False, "wall_seconds": 0.5}
    with sealed(b"out") as out, sealed(b"err") as err:
        assert _result({"result": good}, [out, err], Box(["x"])).stdout == b"out"
        with pytest.raises(Lost):
            _result({"result": {**good, **changed}}, [out, err], Box(["x"]))
