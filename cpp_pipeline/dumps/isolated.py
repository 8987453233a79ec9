"""Reading in a process of its own, which may run out of memory or die without taking ours along.

Belongs here: that process, its limits, and streaming what it reads back. Does not belong here: what is read.

Git packs, parquet pages and packed archives are unpacked by libraries in C; what they do with a file made to
harm them costs that file, not the run. The process has 1.5 GB of data memory, knows none of our environment
(so no program is found by name, and no credentials either), and may start no program and open no connection.
"""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import IO, Any

MEMORY_BYTES = 1_500 << 20
_BATCH_ITEMS = 256
_BATCH_BYTES = 1 << 20
_CODE = (
    "import sys; sys.path[:] = sys.argv[3:]\n"
    "from cpp_pipeline.dumps.isolated import serve; serve(*map(int, sys.argv[1:3]))"
)
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")


class ReaderEnded(RuntimeError):
    """The reading process died or ran out of memory; what it had read until then was handed on."""


class Reader:
    """Runs generator functions in a process of its own; a context manager.

    The process starts at the first use, serves one call after the other, and is replaced when it has ended. An
    `online` one may open connections and has our environment, credentials included: for object stores.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES, online: bool = False) -> None:
        self._memory_bytes, self._online = memory_bytes, online
        self._process: subprocess.Popen[bytes] | None = None

    def stream(self, function: Callable[..., Iterator[Any]], *arguments: Any) -> Iterator[Any]:
        """What `function(*arguments)` yields; function, arguments and items are pickled.

        Raises
        ------
        ReaderEnded
            The process died, or the function needed more memory than it may have.
        Exception
            Whatever the function raises.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        whole = False
        try:
            pickle.dump((function, arguments), process.stdin)
            process.stdin.flush()
            while True:
                kind, value = pickle.load(process.stdout)
                if kind == "items":
                    yield from value
                    continue
                whole = kind != "memory"
                if kind == "error":
                    raise value
                if kind == "memory":
                    raise ReaderEnded(f"it needs more than {self._memory_bytes >> 20} MiB of memory")
                return
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise ReaderEnded(f"the reading process ended with {self._end()}") from error
        finally:
            if not whole:
                self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            path = [entry or "." for entry in sys.path]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(self._memory_bytes), str(int(self._online)), *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=None if self._online else {"LC_ALL": "C.UTF-8", "PATH": "/nonexistent", "HOME": "/nonexistent"},
            )
        return self._process

    def _end(self) -> str:
        if self._process is None:
            return "no status"
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"status {code}"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(memory_bytes: int, online: int) -> None:
    """The reading process: calls come in on standard input, items go out on standard output."""
    # What a library prints must not get between the items.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.addaudithook(partial(_refuse, _PROGRAMS if online else (*_PROGRAMS, "socket.connect")))
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            _send_all(out, function(*arguments))
        except MemoryError:
            _send(out, "memory", None)
        except Exception as error:  # noqa: BLE001 - raised again on the other side
            _send(out, "error", _portable(error))
        else:
            _send(out, "end", None)


def _send_all(out: IO[bytes], items: Iterator[Any]) -> None:
    batch: list[Any] = []
    size = 0
    for item in items:
        batch.append(item)
        size += _weight(item)
        if len(batch) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            _send(out, "items", batch)
            batch, size = [], 0
    _send(out, "items", batch)


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same when it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever an error of a library does when it is copied
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _weight(item: object) -> int:
    """About how many characters an item carries."""
    row = getattr(item, "row", item)
    return sum(len(v) for v in row.values() if isinstance(v, str)) if isinstance(row, dict) else 0


def _send(out: IO[bytes], kind: str, value: object) -> None:
    out.write(pickle.dumps((kind, value), protocol=5))
    out.flush()


def _refuse(refused: tuple[str, ...], event: str, _arguments: tuple[Any, ...]) -> None:
    if event in refused:
        raise PermissionError(f"{event} in the process that reads dumps")
