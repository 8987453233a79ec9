"""Storage that is away for a while, and storage that will never have us.

Belongs here: how long a pod waits for storage, and which errors another pod would meet as well. Does not belong here:
what is read or written (`remote_files`), and the words for a bucket that cannot be used (`storage.gcs`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from cpp_pipeline.storage.gcs import BucketError

LONGEST_PAUSE_SECONDS = 15.0
T = TypeVar("T")


class StorageFailed(RuntimeError):
    """Storage cannot be used, in one line that names the setting; `is_final` when another pod would find the same."""

    def __init__(self, text: str, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


class Patience:
    """Does things with storage until they succeed.

    Parameters
    ----------
    seconds
        How long one thing is tried.
    tell
        Takes a line about each try that failed.
    stopped
        Whether this process is to end: then nothing is tried again.
    """

    def __init__(
        self, seconds: float, tell: Callable[[str], None], stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.seconds, self._tell, self._stopped = seconds, tell, stopped

    def __call__(self, work: Callable[[], T]) -> T:
        """What `work` returns; it must bear to be done again.

        Raises
        ------
        FileNotFoundError
            As `work` raised it: storage has answered.
        StorageFailed
            It was in vain.
        """
        deadline, pause = time.monotonic() + self.seconds, 0.5
        while True:
            try:
                return work()
            except FileNotFoundError:
                raise
            except Exception as error:
                refused, no_account = _refused(error), _without_account(error)
                if refused or self._stopped() or time.monotonic() + pause > deadline:
                    # an account that is missing may come: a pod's metadata server begins after the pod
                    raise StorageFailed(_one_line(error), refused or no_account) from error
                self._tell(f"trying again in {pause:g} s: {_one_line(error)}")
            self._pause(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stopped() and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.2, left))


def _refused(error: Exception) -> bool:
    """Whether storage has said no."""
    if isinstance(error, PermissionError):
        return True
    if not isinstance(error, BucketError):
        return False
    if isinstance(error.__cause__, ImportError):
        return True
    from google.api_core import exceptions as api

    return isinstance(error.__cause__, api.Forbidden | api.Unauthorized | api.NotFound | api.BadRequest)


def _without_account(error: Exception) -> bool:
    if not isinstance(error, BucketError):
        return False
    from google.auth.exceptions import GoogleAuthError, TransportError

    return isinstance(error.__cause__, GoogleAuthError) and not isinstance(error.__cause__, TransportError)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, BucketError):
        return text
    return f"storage at CPP_PIPELINE_ROOT, or this pod's disk, cannot be used: {type(error).__name__}: {text}"
