"""Client of the sandbox controller.

Belongs here: HTTP, retries, order of results. An infrastructure failure becomes `Result.error` (of single jobs)
or `SandboxUnavailable`; it never becomes a verdict or a score.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

import httpx

from cpp_pipeline.sandbox.types import CMakeJob, CMakeResult, Finding, Job, Result

logger = logging.getLogger(__name__)
_RETRIED = {429, 502, 503}
_CHUNK = 512
_PASSING = ("worker_lost", "internal")


class SandboxUnavailable(Exception):
    """The controller cannot be reached, refuses, or cannot isolate; the message says which."""


class SandboxClient:
    """Talks to one controller; use as a context manager.

    Parameters
    ----------
    url : str
        Base address, for example `http://127.0.0.1:8888`.
    token : str, optional
        Bearer token.
    retries : int
        Further attempts after connection errors, 429 and 502/503, and for jobs whose error may pass (`worker_lost`,
        `internal`).
    read_timeout_seconds : float
        Longest silence on a response. It has nothing to do with the time limit of a job.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        retries: int = 3,
        connect_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 600.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(read_timeout_seconds, connect=connect_timeout_seconds)
        # the environment's proxies are for the outside world, not for the controller
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)
        self._retries = retries
        self._random = random.Random(url)

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def verify(self, job: Job) -> Result:
        """Judge one job; raises SandboxUnavailable when no answer can be had."""
        return Result.from_json(self._post("/execute", asdict(job)))

    def batch_verify(self, jobs: Sequence[Job], on_result: Callable[[Result], object] | None = None) -> list[Result]:
        """Judge jobs; results in the order of `jobs`.

        `on_result` is called with each result as it arrives, in any order. Jobs whose result did not arrive after
        all retries have `error` "worker_lost: ...".

        Raises
        ------
        SandboxUnavailable
            The controller refused a batch as a whole, or was never reached.
        """
        results: dict[int, Result] = {}
        for start in range(0, len(jobs), _CHUNK):
            self._chunk(list(enumerate(jobs))[start : start + _CHUNK], results, on_result)
        lost = [i for i in range(len(jobs)) if i not in results]
        for i in lost:
            text = "worker_lost: the connection to the controller broke before the result came"
            results[i] = Result(jobs[i].id, None, None, None, len(jobs[i].tests), error=text)
            if on_result:
                on_result(results[i])
        return [results[i] for i in range(len(jobs))]

    def _chunk(
        self,
        chunk: list[tuple[int, Job]],
        results: dict[int, Result],
        on_result: Callable[[Result], object] | None,
    ) -> None:
        trouble = ""
        failed: dict[int, Result] = {}
        for attempt in range(self._retries + 1):
            left = [(i, job) for i, job in chunk if i not in results]
            if not left:
                return
            # jobs travel under their position, since the caller's ids need not be distinct
            body = {"jobs": [{**asdict(job), "id": str(i)} for i, job in left]}
            ids = {i: job.id for i, job in left}
            try:
                with self._http.stream("POST", "/execute/batch", json=body) as response:
                    if response.status_code == 200:
                        self._read(response, ids, results, failed, on_result)
                        if all(i in results for i in ids):
                            return
                        trouble = "no result, or an error that may pass, for some jobs"
                    else:
                        response.read()
                        trouble = _refusal(response)
                        if response.status_code not in _RETRIED or _final(response):
                            raise SandboxUnavailable(trouble)
            except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
                # the connection broke, or what came is no result of ours: in both cases there is no verdict
                trouble = f"{type(error).__name__}: {error}"
            logger.warning("batch of %d jobs, attempt %d: %s", len(left), attempt + 1, trouble)
            self._pause(attempt)
        for i, result in failed.items():
            if i not in results:
                _keep(i, result, results, on_result)
        if trouble and not any(i in results for i, _ in chunk):
            raise SandboxUnavailable(f"{self._http.base_url}: {trouble}")

    def _read(
        self,
        response: httpx.Response,
        ids: dict[int, str],
        results: dict[int, Result],
        failed: dict[int, Result],
        on_result: Callable[[Result], object] | None,
    ) -> None:
        for line in response.iter_lines():
            data = json.loads(line)
            position = int(data["id"])
            result = Result.from_json({**data, "id": ids[position]})
            if _may_pass(result.error):
                failed[position] = result
            else:
                _keep(position, result, results, on_result)

    def cmake(self, job: CMakeJob) -> CMakeResult:
        """Judge a CMakeLists.txt; raises SandboxUnavailable when no answer can be had."""
        return CMakeResult(**self._post("/cmake", asdict(job)))

    def analyze(self, code: str, kind: str) -> list[Finding]:
        """Findings of kind bugs, performance or style."""
        return [Finding(**f) for f in self._post("/analyze", {"code": code, "kind": kind})["findings"]]

    def capabilities(self) -> dict[str, Any]:
        """What the controller can do: isolation, compiler, standards, workers."""
        try:
            response = self._http.get("/capabilities")
        except httpx.TransportError as error:
            raise SandboxUnavailable(f"{self._http.base_url}: {error}") from error
        if response.status_code != 200:
            raise SandboxUnavailable(_refusal(response))
        return dict(response.json())

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        trouble = ""
        for attempt in range(self._retries + 1):
            try:
                response = self._http.post(path, json=body)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == 200:
                    data = dict(response.json())
                    if attempt == self._retries or not _may_pass(data.get("error")):
                        return data
                    trouble = str(data["error"])
                else:
                    trouble = _refusal(response)
                    if response.status_code not in _RETRIED or _final(response):
                        raise SandboxUnavailable(trouble)
            logger.warning("%s, attempt %d: %s", path, attempt + 1, trouble)
            self._pause(attempt)
        raise SandboxUnavailable(f"{self._http.base_url}{path}: {trouble}")

    def _pause(self, attempt: int) -> None:
        if attempt < self._retries:
            time.sleep(0.2 * 2**attempt * self._random.uniform(0.5, 1.5))


def _keep(
    position: int, result: Result, results: dict[int, Result], on_result: Callable[[Result], object] | None
) -> None:
    results[position] = result
    if on_result:
        on_result(result)


def _may_pass(error: str | None) -> bool:
    """True for trouble of the machine that judged, which another attempt may not meet."""
    return error is not None and error.split(":")[0] in _PASSING


def _refusal(response: httpx.Response) -> str:
    return f"HTTP {response.status_code} from {response.request.url}: {response.text[:500]}"


def _final(response: httpx.Response) -> bool:
    """True for refusals that say themselves that a retry is useless."""
    try:
        return response.json()["error"]["retryable"] is False
    except (ValueError, KeyError, TypeError):
        return False
