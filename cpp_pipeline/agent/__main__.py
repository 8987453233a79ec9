"""Command line of the agent.

    python -m cpp_pipeline.agent "request" [--attach code=FILE]...
    python -m cpp_pipeline.agent serve [--host 127.0.0.1] [--port 8080]

Belongs here: flags, files and exit codes. Does not belong here: what the agent does (`orchestrator`).
Exit code 0: done and not found wrong; 1: the answer was verified as wrong; 2: it could not be done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cpp_pipeline.agent.codemodel import CheckpointModel
from cpp_pipeline.agent.inputs import AttachmentError
from cpp_pipeline.agent.orchestrator import Orchestrator
from cpp_pipeline.agent.router import Router
from cpp_pipeline.agent.trace import Limits, Trace
from cpp_pipeline.models.presets import preset
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.local import local_controller
from cpp_pipeline.settings import Settings


def add_agent_arguments(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """Flags for the parts of an agent; checkpoints default to those under the storage root."""
    checkpoints = Path(settings.root) / "checkpoints"
    parser.add_argument("--router", type=Path, default=checkpoints / "router_checkpoint")
    parser.add_argument("--code", type=Path, default=checkpoints / "gspo_checkpoint")
    parser.add_argument("--cmake", type=Path, default=checkpoints / "cmake_checkpoint")
    parser.add_argument("--sandbox-url", default=settings.sandbox_url, help="empty: one is started")
    parser.add_argument("--max_iterations", type=int, default=Limits().max_iterations)
    parser.add_argument("--max_new_tokens", type=int, default=2 * preset(settings.preset).max_new_tokens)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=settings.seed)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)


@contextmanager
def open_sandbox(url: str, settings: Settings) -> Iterator[SandboxClient]:
    """A client of the given controller, or of one that is started for this process."""
    if url:
        with SandboxClient(url, token=settings.sandbox_token or None) as client:
            yield client
    else:
        with local_controller(workers=settings.sandbox_workers) as own, SandboxClient(own) as client:
            yield client


def load_agent(args: argparse.Namespace, sandbox: SandboxClient) -> Orchestrator:
    """An agent from checkpoint folders."""
    import torch

    torch.set_num_threads(args.threads)
    code, cmake = (CheckpointModel(f, args.max_new_tokens, args.temperature) for f in (args.code, args.cmake))
    limits = Limits(max_iterations=args.max_iterations)
    return Orchestrator(Router(args.router), code, cmake, sandbox, limits)


def exit_code(trace: Trace) -> int:
    """0, 1 or 2 as the module says."""
    if any(s.state == "error" for s in trace.steps):
        return 2
    return 1 if trace.outcome.success is False else 0


def read_attachments(values: Sequence[str]) -> dict[str, str]:
    """Attachments from NAME=FILE; FILE may be - for standard input.

    Raises
    ------
    AttachmentError
        When the form is wrong or the file cannot be read as text.
    """
    found: dict[str, str] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not equals:
            raise AttachmentError(f"--attach {value}: use NAME=FILE, for example code=main.cpp")
        try:
            found[name] = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise AttachmentError(f"--attach {value}: {e}") from None
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    settings = Settings.from_env()
    parser = argparse.ArgumentParser(prog="python -m cpp_pipeline.agent", description=__doc__)
    parser.add_argument("request", help="what you want, or the word serve")
    parser.add_argument("--attach", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--json", action="store_true", help="print the whole trace")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    add_agent_arguments(parser, settings)
    args = parser.parse_args(argv)
    try:
        attachments = read_attachments(args.attach)
        with open_sandbox(args.sandbox_url, settings) as sandbox:
            agent = load_agent(args, sandbox)
            if args.request == "serve":
                return _serve(agent, args.host, args.port)
            trace = agent.run(args.request, attachments, args.seed)
    except (AttachmentError, FileNotFoundError) as e:
        print(f"agent: {e}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(trace.to_json(), indent=1))
    else:
        print("\n".join(t for t in (trace.outcome.answer.rstrip(), trace.outcome.sentence) if t))
    return exit_code(trace)


def _serve(agent: Orchestrator, host: str, port: int) -> int:
    import uvicorn

    from cpp_pipeline.agent.service import make_app

    uvicorn.run(make_app(agent), host=host, port=port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
