"""`python -m cpp_pipeline.launch.warm PARENT CHANNEL MODULE...`: modules loaded once for many commands.

Belongs here: the process that has loaded them and is forked for every command, and asking it for one. Does not belong
here: which commands there are, what they all load, and when they are started afresh (`local`).

The process that is forked has one thread and no GPU context, which a fork would leave behind broken. A command begins
as it would in a process of its own: with its own arguments, environment, folder and output.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cpp_pipeline.launch.tether import tether

GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")
"""With one of these there is a GPU, and to ask torch whether it can be used may make a context on it."""
_LAST_MESSAGE_BYTES = 200


class WarmProcessEnded(RuntimeError):
    """The process that is forked for commands has ended, or cannot be forked."""


def can_be_forked() -> bool:
    """Whether this machine can start commands this way: Linux, and no GPU."""
    return sys.platform == "linux" and not any(Path(device).exists() for device in GPU_DEVICES)


class Command:
    """A forked command; one at a time."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid, self._channel, self.has_ended = pid, channel, False

    def send_signal(self, number: int) -> None:
        """Signal the command; one that has ended gets none, as with `subprocess.Popen.send_signal`."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float | None = None) -> int:
        """The exit code, or minus the number of the signal that ended it.

        Raises
        ------
        TimeoutError
            It has not ended within `seconds`.
        WarmProcessEnded
            Nobody knows how it ended, for the process above it was ended first; the command is ended with that.
        """
        self._channel.settimeout(seconds)
        try:
            code = int(_told(self._channel))
        finally:
            self._channel.settimeout(None)
        self.has_ended = True
        return code


class Warm:
    """Starts a process that loads `modules` at the first command, and forks it for this one and those after it."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._environment: dict[str, str] = {}
        self._command: Command | None = None

    def start(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
        """Run `python -m module arguments` in our folder and with our output.

        Parameters
        ----------
        environment
            What was loaded has been loaded with the environment of an earlier command. Where that differs in more
            than the variables of Dagster Pipes, it is loaded anew.

        Raises
        ------
        WarmProcessEnded
            Why no command can be started this way; its own output says more.
        """
        channel = self._ready({k: v for k, v in environment.items() if not k.startswith("DAGSTER_PIPES_")})
        asked = {
            "module": module,
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": os.getcwd(),
        }
        try:
            with os.fdopen(os.memfd_create("command"), "w+") as file, open(os.devnull) as nothing:
                json.dump(asked, file)
                file.seek(0)
                socket.send_fds(channel, [b"?"], [nothing.fileno(), 1, 2, file.fileno()])
            self._command = Command(int(_told(channel)), channel)
            return self._command
        except BaseException as error:
            self.close()  # an answer that is still to come would be taken for that to the next question
            if isinstance(error, OSError):
                raise WarmProcessEnded(f"the process that commands are forked from has ended: {error}") from error
            raise

    def close(self) -> None:
        """End the process; a command that runs is not waited for, and ends with it."""
        if self._process is not None and self._channel is not None:
            self._process.kill()
            self._process.wait()
            self._channel.close()
        self._process = self._channel = self._command = None

    def _ready(self, environment: dict[str, str]) -> socket.socket:
        is_left = self._command is not None and not self._command.has_ended  # by somebody who did not wait for it
        if self._process is None or self._process.poll() is not None or is_left or environment != self._environment:
            self.close()
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-m", __name__, str(os.getpid()), str(theirs.fileno()), *self._modules]
            with theirs:
                # a thread of OpenBLAS, begun when numpy is loaded, would be one more
                single = {**environment, "OPENBLAS_NUM_THREADS": "1"}
                self._process = subprocess.Popen(command, env=single, pass_fds=[theirs.fileno()])
            self._environment = environment
        assert self._channel is not None
        return self._channel


def _told(channel: socket.socket) -> str:
    message = channel.recv(_LAST_MESSAGE_BYTES).decode()
    if not message.lstrip("-").isdigit():
        raise WarmProcessEnded(message or "the process that commands are forked from has ended")
    return message


def fork_on_demand(channel: socket.socket) -> int:
    """Fork for every command that is asked for; returns in the forked processes only, with a file that says what to do.

    The file is at the number that is returned; 1 and 2 are those of who asked, and 0 is empty.
    """
    # Who asked tells the command of a signal; the process above it has to be there to tell how that ended.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    this = os.getpid()
    while True:
        _, given, _, _ = socket.recv_fds(channel, 1, 4)
        if not given:
            sys.exit(0)  # nobody is left to ask
        if len(threads := list(Path("/proc/self/task").glob("*/comm"))) > 1:
            names = ", ".join(sorted(thread.read_text().strip() for thread in threads))
            channel.send(f"a process with several threads is not forked: {names}".encode()[:_LAST_MESSAGE_BYTES])
            sys.exit(1)
        # A signal that comes before the command can act on it waits until it can.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        if (pid := os.fork()) == 0:
            tether(this)
            channel.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for standard, descriptor in enumerate(given[:3]):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            return given[3]
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for descriptor in given:
            os.close(descriptor)
        channel.send(str(pid).encode())
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def main(parent: str, channel: str, *modules: str) -> None:
    """Load, wait to be forked, and be the command."""
    tether(int(parent))
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is loaded stays, and its pages stay shared
    with os.fdopen(fork_on_demand(socket.socket(fileno=int(channel)))) as file:
        asked = json.load(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
