"""The kubelet: containers as processes of this machine, with their logs and their ends.

Only what the tests themselves put into a pod is ever run. A container's process ignores SIGTERM until it installs
a handler, as process 1 of a real container does.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cpp_pipeline_tests.cluster.objects import Object, Objects, condition, now

AS_PROCESS_ONE = ["/bin/sh", "-c", 'trap "" TERM; exec "$0" "$@"']
UNPULLABLE = "registry.invalid/"
RESTART_SECONDS, PROBE_SECONDS = 0.2, 0.1


@dataclass
class Log:
    """Output of one attempt of a container."""

    lines: list[tuple[str, bytes]] = field(default_factory=list)
    """(time stamp, line without its newline)"""
    ended: bool = False


class Kubelet:
    """Runs the pods that the scheduler has bound."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        self.objects = objects
        self.folder = folder
        self.logs: dict[str, list[Log]] = {}
        self.overrides: dict[str, str] = {}
        """Variables that containers get in place of their own: what a simulated machine has not."""
        self._processes: dict[str, dict[str, subprocess.Popen[bytes]]] = {}
        self._known: set[str] = set()
        self._stopped = False

    def sync(self) -> None:
        """Start what is bound and not yet started. The caller holds the lock."""
        for pod in self.objects.find("pods", None, lambda p: "nodeName" in p["spec"]):
            uid = pod["metadata"]["uid"]
            if uid not in self._known and pod["status"]["phase"] == "Pending":
                self._known.add(uid)
                threading.Thread(target=self._life, args=(pod,), daemon=True).start()

    def stop(self) -> None:
        """End all processes."""
        self._stopped = True
        for uid in list(self._processes):
            self.kill(uid)

    def kill(self, uid: str) -> None:
        """End a pod's processes at once, as the kernel does when memory is short."""
        for process in list(self._processes.get(uid, {}).values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def _life(self, pod: Object) -> None:
        specs = pod["spec"]["containers"]
        for spec in specs:
            if spec["image"].startswith(UNPULLABLE):
                self._waiting(pod, "ErrImagePull", f'failed to pull and unpack image "{spec["image"]}": not found')
                return
        with self.objects.changed:
            pod["status"]["podIP"] = address_of(pod["metadata"]["uid"])
        codes: list[int] = []
        others = [threading.Thread(target=self._container, args=(pod, spec, codes), daemon=True) for spec in specs[1:]]
        for other in others:
            other.start()
        self._container(pod, specs[0], codes)
        for other in others:
            other.join()
        with self.objects.changed:
            failed = any(codes)
            pod["status"]["phase"] = "Failed" if failed else "Succeeded"
            condition(pod, "Ready", "False", "PodFailed" if failed else "PodCompleted")
            self.objects.touch("pods", pod)
            if "deletionTimestamp" in pod["metadata"] and not pod["metadata"].get("finalizers"):
                self.objects.release("pods", pod)

    def _container(self, pod: Object, spec: Object, codes: list[int]) -> None:
        """All attempts of one container."""
        restarts = 0
        while True:
            code = self._attempt(pod, spec, restarts)
            again = {"Always": True, "OnFailure": code != 0, "Never": False}[pod["spec"]["restartPolicy"]]
            if not again or self._stopped or "deletionTimestamp" in pod["metadata"]:
                break
            restarts += 1
            time.sleep(RESTART_SECONDS)
        codes.append(code)

    def _waiting(self, pod: Object, reason: str, message: str) -> None:
        with self.objects.changed:
            state = {"waiting": {"reason": reason, "message": message}}
            spec = pod["spec"]["containers"][0]
            _set(pod, spec, state, 0, False)
            self.objects.touch("pods", pod)
            self.objects.event("Warning", pod, "Failed", f"Failed to pull image: {message}")

    def _attempt(self, pod: Object, spec: Object, restarts: int) -> int:
        uid = pod["metadata"]["uid"]
        log = Log()
        with self.objects.changed:
            if "deletionTimestamp" in pod["metadata"]:
                return 137
            if spec is pod["spec"]["containers"][0]:
                self.logs.setdefault(uid, []).append(log)
        started = now()
        try:
            process = self._start(pod, spec)
        except FileNotFoundError as error:
            reason, code = "StartError", 128
            log.lines.append((stamp(), f"exec: {error}".encode()))
        else:
            self._processes.setdefault(uid, {})[spec["name"]] = process
            with self.objects.changed:
                pod["status"] |= {"phase": "Running", "startTime": started}
                _set(pod, spec, {"running": {"startedAt": started}}, restarts, True)
                self.objects.touch("pods", pod)
            if "readinessProbe" in spec:
                threading.Thread(target=self._probe, args=(pod, spec, process), daemon=True).start()
            reader = threading.Thread(target=self._read, args=(process, log), daemon=True)
            reader.start()
            self._wait(pod, process)
            reader.join(5)
            code = process.returncode if process.returncode >= 0 else 128 - process.returncode
            reason = "Completed" if code == 0 else "Error"
        with self.objects.changed:
            log.ended = True
            ended = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now()}
            _set(pod, spec, {"terminated": ended}, restarts, False)
            self.objects.changed.notify_all()
        return code

    def _wait(self, pod: Object, process: subprocess.Popen[bytes]) -> None:
        kill_at = 0.0
        while process.poll() is None:
            if not kill_at and "deletionTimestamp" in pod["metadata"]:
                os.kill(process.pid, signal.SIGTERM)
                kill_at = time.monotonic() + pod["metadata"]["deletionGracePeriodSeconds"]
            if kill_at and time.monotonic() >= kill_at:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):  # a container's other processes end with its first one
            os.killpg(process.pid, signal.SIGKILL)

    def _probe(self, pod: Object, spec: Object, process: subprocess.Popen[bytes]) -> None:
        """Ask the container over HTTP until it ends; the pod's condition follows."""
        get = spec["readinessProbe"]["httpGet"]
        ports = {port.get("name"): port["containerPort"] for port in spec.get("ports", [])}
        place = f"{pod['status']['podIP']}:{ports.get(get['port'], get['port'])}"
        while process.poll() is None and not self._stopped:
            connection = http.client.HTTPConnection(place, timeout=5)
            try:
                connection.request("GET", get["path"])
                ready = connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                ready = False
            finally:
                connection.close()
            with self.objects.changed:
                status = next(s for s in pod["status"]["containerStatuses"] if s["name"] == spec["name"])
                if status["ready"] != ready and "running" in status["state"]:
                    status["ready"] = ready
                    note_ready(pod)
                    self.objects.touch("pods", pod)
            time.sleep(PROBE_SECONDS)

    def _read(self, process: subprocess.Popen[bytes], log: Log) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self.objects.changed:
                log.lines.append((stamp(), line.rstrip(b"\n")))
                self.objects.changed.notify_all()

    def _start(self, pod: Object, spec: Object) -> subprocess.Popen[bytes]:
        home = self.folder / pod["metadata"]["uid"]
        home.mkdir(parents=True, exist_ok=True)
        mounts = {m["mountPath"]: home / m["name"] for m in spec.get("volumeMounts", [])}
        for folder in mounts.values():
            folder.mkdir(exist_ok=True)
        env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home)}
        # how a process finds the tests' bucket, and the project: in a real cluster by the pod's account, and its image
        env |= {name: os.environ[name] for name in ("STORAGE_EMULATOR_HOST", "PYTHONPATH") if name in os.environ}
        for entry in spec.get("env", []):
            env[entry["name"]] = _value(pod, entry)
        env |= self.overrides
        for name, value in env.items():
            env[name] = str(mounts.get(value, value))
        given = [*spec.get("command", []), *spec.get("args", [])]
        command = [re.sub(r"\$\((\w+)\)", lambda m: env.get(m[1], m[0]), part) for part in given]
        command = [_resolved(part, pod["spec"].get("subdomain", "")) for part in command]
        if any(part.startswith("cpp_pipeline_tests") for part in command):
            raise FileNotFoundError(f"{command}: images hold the project and none of its tests")
        if shutil.which(command[0], path=env["PATH"]) is None:
            raise FileNotFoundError(f'"{command[0]}": executable file not found in $PATH')
        return subprocess.Popen(
            [*AS_PROCESS_ONE, *command],
            env=env,
            cwd=spec.get("workingDir", home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _resolved(text: str, service: str) -> str:
    """A text in which names of pods behind a headless Service, which nothing here resolves, are addresses of loopback.

    A name keeps its address whichever pod has it; addresses of one Job are in the order of its indexes.
    """
    if not service:
        return text
    network = f"127.{251 + zlib.crc32(service.encode()) % 4}.{zlib.crc32(service.encode()) // 4 % 256}"
    names = rf"\b[a-z0-9-]+-(\d)\.{re.escape(service)}\b"
    return re.sub(names, lambda m: f"{network}.{int(m[1]) + 1}", text)


def _value(pod: Object, entry: Object) -> str:
    path = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
    if path is None:
        return str(entry.get("value", ""))
    if path.startswith("metadata.annotations['"):
        return str(pod["metadata"].get("annotations", {}).get(path.split("'")[1], ""))
    part, name = path.split(".")
    return str(pod[part].get(name, ""))


def _set(pod: Object, spec: Object, state: Object, restarts: int, started: bool) -> None:
    """The status of one container, and with it that of the pod. The caller holds the lock."""
    ready = started and "readinessProbe" not in spec
    told = {"name": spec["name"], "image": spec["image"], "imageID": spec["image"], "ready": ready}
    told |= {"started": started, "restartCount": restarts, "state": state}
    found = pod["status"].setdefault("containerStatuses", [])
    found[:] = [*(status for status in found if status["name"] != spec["name"]), told]
    note_ready(pod)


def note_ready(pod: Object) -> None:
    """The pod is ready when all its containers are. The caller holds the lock."""
    found = pod["status"].get("containerStatuses", [])
    whole = len(found) == len(pod["spec"]["containers"]) and all(status["ready"] for status in found)
    if whole:
        condition(pod, "Ready", "True")
    else:
        condition(pod, "Ready", "False", "ContainersNotReady")


def address_of(uid: str) -> str:
    """An address of loopback that no other pod has."""
    number = int(uid[:6], 16)
    return f"127.{1 + (number >> 16) % 250}.{(number >> 8) % 256}.{1 + number % 254}"


def stamp(seconds: float = 0.0) -> str:
    """The time stamp of a log line, so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
