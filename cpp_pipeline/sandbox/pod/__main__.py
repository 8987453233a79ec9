"""Commands of the two containers: `judge` serves the HTTP API, `runner` runs what is not trusted."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.sandbox.controller.serving import DRAIN_SECONDS, open_socket, stop_on_sigterm
from cpp_pipeline.sandbox.controller.serving import serve as serve_http
from cpp_pipeline.sandbox.controller.startup import start_service
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.isolation import IsolationError
from cpp_pipeline.sandbox.pod.boxes import open_pod
from cpp_pipeline.sandbox.pod.runner import KINDS
from cpp_pipeline.sandbox.pod.runner import serve as serve_boxes

SOCKET = Path("/run/cpp-pipeline/runner.sock")
PORT = 8080
_FOLDER = Path("/work")
_HEADERS_MB = 600
"""Of the 1 GiB that the pool's template gives to the judge's folder; the rest is for the programs of tests."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one container's command; returns the exit code."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        if args.command == "runner":
            serve_boxes(args.socket, args.folder, args.boxes)
        return _judge(args)
    except (IsolationError, OSError, ValueError) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cpp_pipeline.sandbox.pod", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("judge", "serve the HTTP API"), ("runner", "run boxes for the judge")):
        add = commands.add_parser(name, help=text).add_argument
        add("--socket", type=Path, default=SOCKET, help="unix socket of the runner, on a volume of both containers")
        add("--folder", type=Path, default=_FOLDER, help="writable folder of this container alone")
        if name == "runner":
            add("--boxes", choices=KINDS, default="auto", help="what keeps them apart; auto: bubblewrap where it holds")
        if name == "judge":
            add("--host", default="0.0.0.0", help="the pod's network policy says who may ask")
            add("--port", type=int, default=PORT)
            add("--token-file", type=Path, help="file with the bearer token; without it everybody who can ask may")
            add("--headers-mb", type=int, default=_HEADERS_MB, help="room of the folder for precompiled headers")
            add("--drain-seconds", type=float, default=DRAIN_SECONDS, help="time for work under way after SIGTERM")
    return parser


def _judge(args: argparse.Namespace) -> int:
    tokens = Tokens.from_file(args.token_file) if args.token_file else None
    # precompiled headers, programs of the tests: nothing of it is for the runner's uid but what is sent
    private = args.folder / "private"  # the folder itself belongs to root where it is a volume
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.tempdir = str(private)
    lost = threading.Event()

    def when_lost() -> None:
        lost.set()
        os.kill(os.getpid(), signal.SIGTERM)

    stop_on_sigterm()
    with open_socket(args.host, args.port) as server:
        service = start_service(1, tokens, backend=open_pod(args.socket, when_lost), room=args.headers_mb << 20)
        if service.trouble is not None:
            raise IsolationError(service.reason)
        try:
            serve_http(service, server, args.drain_seconds)
        finally:
            service.close()
    return int(lost.is_set())


if __name__ == "__main__":
    sys.exit(main())
