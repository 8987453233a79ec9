"""Command line of the sandbox: `serve` and `check`."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from cpp_pipeline.sandbox.canaries import run_canaries
from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller import create_app
from cpp_pipeline.sandbox.local import local_controller
from cpp_pipeline.sandbox.startup import start_service
from cpp_pipeline.settings import Settings

_WATCH_SECONDS = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 only when it did what was asked)."""
    parser = argparse.ArgumentParser("cpp_pipeline.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the controller")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8888, help="0 takes a free one")
    serve.add_argument("--workers", type=int, default=0, help="0 means one a core")
    serve.add_argument("--token-file", type=Path, help="file with the bearer token")
    serve.add_argument("--bwrap", default="bwrap", help="bubblewrap program")
    serve.add_argument("--die-with-parent", action="store_true", help="stop when the starting process ends")
    check = commands.add_parser("check", help="judge the canaries and print a table")
    check.add_argument("--url", help="a running controller, with the token of SANDBOX_TOKEN; without it one is started")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return _serve(args) if args.command == "serve" else _check(args.url)


def _serve(args: argparse.Namespace) -> int:
    token = args.token_file.read_text().strip() if args.token_file else None
    if token == "":
        print(f"{args.token_file} is empty", file=sys.stderr)
        return 2
    if not _is_loopback(args.host) and token is None:
        print(f"refusing to bind {args.host} without --token-file", file=sys.stderr)
        return 2
    # uvicorn raises the signal again when it is done; only as an exception it lets us clean up
    signal.signal(signal.SIGTERM, _stop)
    if args.die_with_parent:
        threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    with socket.socket(socket.AF_INET6 if ":" in args.host else socket.AF_INET) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((args.host, args.port))
        service = start_service(args.workers or os.cpu_count() or 1, token, args.bwrap)
        try:
            server.listen(128)
            print(f"listening http://{args.host}:{server.getsockname()[1]}", flush=True)
            app = create_app(service)
            config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
            uvicorn.Server(config).run(sockets=[server])
        finally:
            if service.judge is not None:
                service.judge.close()
    return 0


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _watch_parent(parent: int) -> None:
    # not PR_SET_PDEATHSIG: it fires when the starting *thread* ends, which in a worker pool is too early
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _check(url: str | None) -> int:
    try:
        if url:
            with SandboxClient(url, token=Settings.from_env().sandbox_token or None) as client:
                rows = run_canaries(client)
        else:
            with local_controller() as address, SandboxClient(address) as client:
                rows = run_canaries(client)
    except SandboxUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    for row in rows:
        count = f"{row['tests_passed']}/{row['tests_total']}"
        wanted = row["expected"] if row["kind"] == "program" else f"<= {row['honest_passed']}"
        print(f"{'ok ' if row['ok'] else 'BAD'} {row['canary_id']:36} {row['verdict'] or '-':4} {count:5} {wanted}")
    bad = sum(not row["ok"] for row in rows)
    print(f"{len(rows)} canaries, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
