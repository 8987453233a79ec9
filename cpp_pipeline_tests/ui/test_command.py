"""`cpp-pipeline ui` where it cannot start: it says why, and leaves nothing running."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cpp_pipeline_tests.commands import tell


def refused(root: Path, *arguments: str) -> str:
    """What the command prints as an error."""
    done = tell("ui", "--root", str(root), *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_busy_port_is_named_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused(tmp_path / "root", "--port", str(port))
    assert f"--port {port}: Address already in use" in message
    assert f"--port {port + 1}" in message


@pytest.mark.parametrize(("option", "value", "remedy"), [("--preset", "huge", "choose one of"), ("--port", "x", "int")])
def test_a_wrong_setting_is_told_before_anything_starts(tmp_path: Path, option: str, value: str, remedy: str) -> None:
    assert remedy in refused(tmp_path / "root", option, value)
    assert not (tmp_path / "root" / ".dagster").exists()
