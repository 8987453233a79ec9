"""Dagster Pipes over the logs of a Job's pods.

Belongs here: telling messages from other lines, and several attempts' sessions from the one that Dagster awaits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_pipes import PipesDefaultMessageWriter, PipesParams

_MESSAGE = '{"__dagster_pipes_version"'


class PodLogReader(dg.PipesMessageReader):
    """Takes the lines of the pods' logs: messages go to Dagster, the rest to the compute log.

    Each attempt opens and closes a session of its own, where Dagster awaits one: these two are sent once.
    """

    def __init__(self) -> None:
        self._handler: Any = None
        self._opened = False

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[PipesParams]:
        """Tell the pods to write messages to stderr."""
        self._handler = handler
        try:
            yield {PipesDefaultMessageWriter.STDIO_KEY: PipesDefaultMessageWriter.STDERR}
        finally:
            if self._opened:
                handler.handle_message({"__dagster_pipes_version": "0.1", "method": "closed", "params": {}})

    def take(self, pod: str, line: str) -> None:
        """One line of a pod's log."""
        message = _message(line)
        if message is None:
            sys.stdout.write(f"[{pod}] {line}\n")
            sys.stdout.flush()
        elif message["method"] == "opened":
            if not self._opened:
                self._opened = True
                self._handler.handle_message(message)
        elif message["method"] != "closed":
            self._handler.handle_message(message)

    def no_messages_debug_text(self) -> str:
        """Where messages were awaited."""
        return "Attempted to read messages from the logs of the Job's pods."


def _message(line: str) -> dict[str, Any] | None:
    if not line.startswith(_MESSAGE):
        return None
    try:
        return dict(json.loads(line))
    except ValueError:  # cut by the kubelet's rotation
        return None
