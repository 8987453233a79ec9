"""A real Spark cluster on the loopback device: a standalone master, two workers and a Connect server on them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_HOST = "127.0.0.1"
_DEADLINE = 240.0
_CONFIG = {
    "spark.driver.host": _HOST,
    "spark.driver.bindAddress": _HOST,
    "spark.connect.grpc.binding.address": _HOST,
    "spark.ui.enabled": "false",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "4",
}


def home() -> Path:
    """Where Spark lies; skips the test where Spark or Java is absent."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        pytest.skip("pyspark is not installed: pip install .[spark]")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17: apt-get install openjdk-17-jre-headless")
    return Path(spec.origin).parent


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """The Connect endpoint of a cluster whose processes end with the block."""
    spark, master, connect = home(), f"spark://{_HOST}:{_free_port()}", _free_port()
    options = [part for name, value in _CONFIG.items() for part in ("--conf", f"{name}={value}")]
    options += ["--conf", f"spark.connect.grpc.binding.port={connect}"]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    daemon = "org.apache.spark.deploy"
    with ExitStack() as stack:

        def start(name: str, *arguments: str, ready: str) -> None:
            stack.enter_context(_process(spark, folder, name, arguments, ready))

        port = master.rpartition(":")[2]
        web = ("--webui-port", "0")
        start("master", f"{daemon}.master.Master", "--host", _HOST, "--port", port, *web, ready="New state: ALIVE")
        for at in range(workers):
            size = ("--cores", "1", "--memory", "512m", "--work-dir", str(folder / f"work-{at}"))
            joined = "Successfully registered with master"
            start(f"worker-{at}", f"{daemon}.worker.Worker", "--host", _HOST, *web, *size, master, ready=joined)
        submit = (f"{daemon}.SparkSubmit", "--master", master, *options, "--class", server, "spark-internal")
        start("connect", *submit, ready="Spark Connect server started")
        yield f"sc://{_HOST}:{connect}"


@contextmanager
def _process(spark: Path, folder: Path, name: str, arguments: tuple[str, ...], ready: str) -> Iterator[None]:
    log = folder / f"{name}.log"
    memory = "768m" if name == "connect" else "256m"
    env = os.environ | {"SPARK_HOME": str(spark), "SPARK_LOCAL_IP": _HOST, "SPARK_DAEMON_MEMORY": memory}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [spark / "bin" / "spark-class", *arguments], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            env=env, cwd=folder,
        )  # fmt: skip
    try:
        end = time.monotonic() + _DEADLINE
        while ready not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Spark's {name} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
