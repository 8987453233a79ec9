"""The runner: does what the judge asks, one box at a time, and clears away behind each.

Belongs here: the process of the container that runs what is not trusted. It has a uid that nothing else has, no
secrets in its environment and no file that matters: whatever a box needs comes with the request, and whatever it left
behind anywhere is removed before the next one begins.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from cpp_pipeline.sandbox.isolation.box import Box, BoxResult, IsolationError, Limits
from cpp_pipeline.sandbox.isolation.bubblewrap import Bubblewrap
from cpp_pipeline.sandbox.isolation.choose import proven
from cpp_pipeline.sandbox.isolation.process import sealed
from cpp_pipeline.sandbox.pod.channel import MOST_FILES, Lost, Place, Record, content, name_senders, receive, send
from cpp_pipeline.sandbox.pod.nested import Nested, own_processes, remove, under_gvisor

logger = logging.getLogger(__name__)
VERSION = 1
"""Of the messages; judge and runner are of one image."""
KINDS = ("auto", Bubblewrap.name, Nested.name)
SMALL_BYTES = 1 << 30
_HELPERS = 6  # supervisors of a box
_SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run")
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "TMPDIR")
_NOT_DUMPABLE = 4


def serve(path: Path, folder: Path, kind: str = "auto") -> NoReturn:
    """Serve the judge at a unix socket until SIGTERM.

    Parameters
    ----------
    path : Path
        The socket; one that is there from an earlier process is replaced.
    folder : Path
        Where boxes work; made when it is not there.
    kind : str
        One of `KINDS`; "auto" takes bubblewrap where it holds.

    Raises
    ------
    IsolationError
        This user is root, or has other processes, our own modules could be changed, or boxes cannot be had.
    """
    _clean_environment()
    _see_that_we_are_alone()
    os.umask(0o022)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir("/")
    # other processes of this uid may not look into this one
    ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    session = _Session(path, folder, kind)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        path.chmod(0o666)  # the judge has another uid
        server.listen()
        print(f"listening {path}", flush=True)
        for _ in itertools.count():
            link, _ = server.accept()
            with link:
                name_senders(link)
                session.run(link)
    raise AssertionError("unreachable")


def _clean_environment() -> None:
    """Go on with an environment in which a box finds nothing: the kernel shows what a process began with."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    if kept.keys() != os.environ.keys() - {"LC_ALL"}:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**kept, "LC_ALL": "C.UTF-8"})


def _see_that_we_are_alone() -> None:
    uid = os.geteuid()
    if uid == 0:
        raise IsolationError("the runner is refused to root: give its container a uid (runAsUser)")
    if own_processes(uid) > 1:
        raise IsolationError(f"uid {uid} has other processes: the runner clears away all that its uid leaves behind")
    writable = [entry for entry in sys.path if os.access(entry or ".", os.W_OK)]
    if writable:
        raise IsolationError(f"the runner's modules could be changed in {', '.join(writable)}: make them read-only")


class _Session:
    """One connection of the judge after the other, and the boxes that it asks for."""

    def __init__(self, path: Path, folder: Path, kind: str) -> None:
        self._link: socket.socket | None = None
        self._before = own_processes(os.geteuid())
        self._given, self._taken, self._kept = (folder / name for name in ("given", "taken", "kept"))
        self._roots = [folder, path.parent, *(Path(root) for root in _SHARED)]
        self._boxes = _boxes(kind, folder, self._unwanted)
        self._keep = {path, folder, path.parent}
        if not isinstance(self._boxes, Nested):  # which leave nothing, and so spoil nothing
            self._keep |= {self._kept, folder / self._boxes.name}
            self._kept.mkdir(exist_ok=True)

    def run(self, link: socket.socket) -> None:
        """Answer until the judge has gone."""
        self._link = link
        kernel = "kernel" if under_gvisor() else "namespaces"
        about = {"version": VERSION, "uid": os.geteuid(), "level": kernel, "boxes": self._boxes.name}
        try:
            self._clear()
            send(link, about)
            while True:
                with ExitStack() as stack:
                    self._answer(link, stack)
        except Lost as error:
            logger.warning("the judge has gone: %s", error)
        finally:
            self._link = None
            self._clear()

    def _answer(self, link: socket.socket, stack: ExitStack) -> None:
        record, files = receive(link, stack, os.geteuid())
        try:
            result = self._run(record, files)
        except (IsolationError, OSError) as error:
            self._clear()
            send(link, {"error": str(error)})
        else:
            streams = [stack.enter_context(sealed(data)).fileno() for data in (result.stdout, result.stderr)]
            told, made = self._made(len(record["writable"]), stack)
            self._clear()  # what is open stays
            plain = asdict(result) | {"stdout": "", "stderr": ""}
            send(link, {"result": plain, "files": told}, [*streams, *made])

    def _run(self, record: Record, files: Sequence[IO[bytes]]) -> BoxResult:
        nested = isinstance(self._boxes, Nested)
        place = Place(files, content(files[0], SMALL_BYTES), None if nested else self._kept)
        readonly, writable, linked = [], [], []
        for number, (inside, told) in enumerate(record["readonly"]):
            target = self._given / str(number)
            linked += place.make(told, target)
            readonly.append((str(target), inside))
        for number, (inside, told) in enumerate(record["writable"]):
            target = self._taken / str(number)
            target.mkdir(parents=True)
            place.make(told, target)
            writable.append((str(target), inside))
        stdin = files[record["stdin"]].fileno()
        stdout = None if record["stdout"] is None else files[record["stdout"]].fileno()
        limits, proc = Limits(**record["limits"]), record["proc"]
        box = Box(record["argv"], limits, stdin, readonly, writable, proc, stdout, record["environment"])
        return self._boxes.run(box, linked) if isinstance(self._boxes, Nested) else self._boxes.run(box)

    def _unwanted(self, box: Box) -> bool:
        """Whether the judge has gone, or there are too many processes: gVisor does not enforce their number."""
        gone = self._link is not None and bool(select.select([self._link], [], [], 0)[0])
        return gone or own_processes(os.geteuid()) > self._before + box.limits.processes + _HELPERS

    def _made(self, folders: int, stack: ExitStack) -> tuple[list[list[Any]], list[int]]:
        """Regular files right below the writable folders: (folder, name, executable), and the files."""
        told: list[list[Any]] = []
        made: list[int] = []
        for number in range(folders):
            for entry in sorted(os.scandir(self._taken / str(number)), key=lambda e: e.name):
                if len(made) >= MOST_FILES // 2 or not entry.is_file(follow_symlinks=False):
                    continue
                with suppress(OSError):  # a box can make files that nobody may read
                    file = stack.enter_context(_opened(entry.path))
                    found = os.fstat(file.fileno())
                    if stat.S_ISREG(found.st_mode):
                        told.append([number, entry.name, bool(found.st_mode & stat.S_IXUSR)])
                        made.append(file.fileno())
        return told, made

    def _clear(self) -> None:
        for entry in self._left():
            remove(entry)

    def _left(self) -> Iterator[Path]:
        """What lies about with our uid, in all places that a container usually lets everybody write to."""
        for root in self._roots:
            with suppress(OSError):  # not there, or closed to us
                for entry in list(os.scandir(root)):
                    path = Path(entry.path)
                    if entry.stat(follow_symlinks=False).st_uid == os.geteuid() and not self._holds(path):
                        yield path

    def _holds(self, path: Path) -> bool:
        return any(kept == path or path in kept.parents for kept in self._keep)


def _boxes(kind: str, folder: Path, unwanted: Callable[[Box], bool]) -> Bubblewrap | Nested:
    if kind == "nested":
        return Nested(folder, unwanted)
    try:
        return proven(lambda inner: Bubblewrap(inner, unwanted=unwanted), folder / Bubblewrap.name)
    except IsolationError as error:
        if kind == Bubblewrap.name:
            raise
        logger.warning("bubblewrap is not used in this container: %s", error)
    return Nested(folder, unwanted)


def _opened(path: str) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
