"""Command line of the sandbox: `serve` and `check`."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from cpp_pipeline.sandbox.canaries import run_canaries
from cpp_pipeline.sandbox.client import SandboxClient, SandboxUnavailable
from cpp_pipeline.sandbox.controller.service import QUEUE_SECONDS
from cpp_pipeline.sandbox.controller.serving import DRAIN_SECONDS, die_with_parent, open_socket, serve, stop_on_sigterm
from cpp_pipeline.sandbox.controller.startup import Pool, Remote, start_service
from cpp_pipeline.sandbox.controller.tokens import Tokens
from cpp_pipeline.sandbox.isolation.choose import BACKENDS
from cpp_pipeline.sandbox.judging.cache import default_cache_folder
from cpp_pipeline.sandbox.local import local_controller
from cpp_pipeline.sandbox.pool.claims import Claims, Owner, PoolError
from cpp_pipeline.sandbox.pool.leases import Terms
from cpp_pipeline.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 only when it did what was asked)."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return _serve(args) if args.command == "serve" else _check(args.url)
    except (SandboxUnavailable, PoolError, _Usage) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, _Usage) else 1
    except KeyboardInterrupt:
        return 130


class _Usage(Exception):
    """The command as given cannot be carried out."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cpp_pipeline.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("serve", help="serve the controller").add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8888, help="0 takes a free one")
    add("--workers", type=_count, default=0, help="0 means one a core")
    add("--token-file", type=Path, help="file with the bearer token, or with the old and the new one, a line each")
    add(
        "--backend",
        choices=(*BACKENDS, "remote", "agent-sandbox"),
        default="auto",
        help="isolation; remote hands work to the controller at --url, agent-sandbox to pods of SANDBOX_POOL",
    )
    add("--url", help="controller of the backend remote, with the token of SANDBOX_TOKEN")
    add("--allow-unsafe", action="store_true", help="for the backend none, with CPP_PIPELINE_ALLOW_UNSAFE=1")
    add("--queue-seconds", type=_seconds, default=QUEUE_SECONDS, help="CPU seconds a worker that may wait")
    add("--drain-seconds", type=_seconds, default=DRAIN_SECONDS, help="time for work under way after SIGTERM")
    add("--cache", help="folder of verdicts of earlier runs, or none; default: CPP_PIPELINE_VERDICT_CACHE")
    add("--bwrap", default="bwrap", help="bubblewrap program")
    add("--die-with-parent", action="store_true", help="stop when the starting process ends")
    check = commands.add_parser("check", help="judge the canaries and print a table")
    check.add_argument("--url", help="a running controller, with the token of SANDBOX_TOKEN; without it one is started")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise argparse.ArgumentTypeError(f"{text!r}: use a whole number, 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: use a number of seconds, 0 or more")
    return value


def _serve(args: argparse.Namespace) -> int:
    tokens, remote, server = _prepared(args)
    stop_on_sigterm()
    if args.die_with_parent:
        die_with_parent()
    with server:
        service = start_service(
            *(args.workers, tokens, args.bwrap, args.backend),
            allow_unsafe=args.allow_unsafe,
            cache=_cache(args.cache),
            remote=remote,
            queue_seconds=args.queue_seconds,
        )
        try:
            serve(service, server, args.drain_seconds)
        finally:
            service.close()
    return 0


def _prepared(args: argparse.Namespace) -> tuple[Tokens | None, Remote | Pool | None, socket.socket]:
    try:
        tokens = Tokens.from_file(args.token_file) if args.token_file else None
        if not _is_loopback(args.host) and tokens is None:
            raise _Usage(f"refusing to bind {args.host} without --token-file: everybody could run code here")
        if (args.backend == "remote") != bool(args.url):
            raise _Usage("--backend remote and --url belong together: give both or neither")
        settings = Settings.from_env()
        remote: Remote | Pool | None = Remote(args.url, settings.sandbox_token or None) if args.url else None
        if args.backend == "agent-sandbox":
            remote = _pool(settings)
        return tokens, remote, open_socket(args.host, args.port)
    except (OSError, OverflowError, ValueError) as error:
        raise _Usage(f"cannot serve on {args.host}:{args.port}: {error}") from error


def _pool(settings: Settings) -> Pool:
    if not settings.sandbox_pool:
        raise _Usage("--backend agent-sandbox needs SANDBOX_POOL, the name of a SandboxWarmPool")
    for field in ("leases", "uses", "seconds", "claim_seconds"):
        name = f"sandbox_pool_{field}"
        if getattr(settings, name) < 1:
            raise _Usage(f"{Settings.variable(name)}={getattr(settings, name)}: has to be 1 or more")
    terms = Terms(
        most=settings.sandbox_pool_leases,
        uses=settings.sandbox_pool_uses,
        seconds=settings.sandbox_pool_seconds,
        claim_seconds=settings.sandbox_pool_claim_seconds,
    )
    owner = Owner(settings.pod_name, settings.pod_uid) if settings.pod_name and settings.pod_uid else None
    namespace = settings.sandbox_pool_namespace or settings.k8s_namespace
    claims = Claims(namespace, settings.sandbox_pool, terms.seconds, owner, settings.k8s_config)
    return Pool(claims, terms, settings.sandbox_token or None)


def _cache(folder: str | None) -> Path | None:
    if folder is None:
        return default_cache_folder()
    return None if folder == "none" else Path(folder)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(url: str | None) -> int:
    if url:
        with SandboxClient(url, token=Settings.from_env().sandbox_token or None) as client:
            rows = run_canaries(client)
    else:
        with local_controller() as address, SandboxClient(address) as client:
            rows = run_canaries(client)
    for row in rows:
        count = f"{row['tests_passed']}/{row['tests_total']}"
        wanted = row["expected"] if row["kind"] == "program" else f"<= {row['honest_passed']}"
        print(f"{'ok ' if row['ok'] else 'BAD'} {row['canary_id']:36} {row['verdict'] or '-':4} {count:5} {wanted}")
    bad = sum(not row["ok"] for row in rows)
    print(f"{len(rows)} canaries, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
