"""Claims of warm pods, by the API of Agent Sandbox.

Belongs here: one claim from its making to its removal, and errors that name the setting. Not here: how long a pod is
kept, and what it does (`leases`). The libraries and `apiserver` are imported when a cluster is opened: the sandbox's
image, which opens none, has neither.
"""

from __future__ import annotations

import logging
import re
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

logger = logging.getLogger(__name__)
GROUP, VERSION, PLURAL = "extensions.agents.x-k8s.io", "v1beta1", "sandboxclaims"
RIGHTS = {PLURAL: ("create", "get", "list", "watch", "delete")}
"""All that the controller's Role has to allow in the pool's namespace, in the API group `GROUP`."""
HOLDER = "cpp-pipeline/holder"
"""Label of a claim: the controller that made it."""
_REQUEST_SECONDS = (5.0, 30.0)
_SPARE_SECONDS = 900
_REMEDY = {
    403: "this account lacks the right: bind it to the controller's Role in the namespace of SANDBOX_POOL_NAMESPACE",
    404: "is there a namespace of the name in SANDBOX_POOL_NAMESPACE, and is Agent Sandbox (v1beta1) installed?",
}


class PoolError(Exception):
    """A pod cannot be claimed; the message says why and which setting to look at."""


class PoolEmpty(PoolError):
    """No pod became ready in time; one may later."""


@dataclass(frozen=True)
class Owner:
    """The pod of the controller: with it, the cluster removes its claims."""

    name: str
    uid: str


@dataclass(frozen=True)
class Claimed:
    """A pod that is ours: the claim's name and the pod's address."""

    claim: str
    address: str


class Claims:
    """Claims of one controller from one SandboxWarmPool; safe to use from several threads.

    Parameters
    ----------
    namespace, pool : str
        Where the SandboxWarmPool is, and its name.
    seconds : float
        Longest time that a pod is kept; some time after it (and after the wait for the pod) the cluster removes a
        claim that nobody gave back.
    owner : Owner, optional
        The pod that this runs in; it must be in the same namespace.
    config : str
        Path of a kubeconfig file; empty means the usual places, then the account of the pod that this runs in.
    api : ApiClient, optional
        A client for the cluster, in place of `config`.

    Raises
    ------
    PoolError
        The libraries are missing, or there is no cluster.
    """

    def __init__(
        self,
        namespace: str,
        pool: str,
        seconds: float,
        owner: Owner | None = None,
        config: str = "",
        api: ApiClient | None = None,
    ) -> None:
        from cpp_pipeline.apiserver import NoCluster, open_client

        try:
            from k8s_agent_sandbox.k8s_helper import K8sHelper
        except ImportError as error:
            raise PoolError("the backend agent-sandbox needs `pip install 'cpp_pipeline[k8s]'`") from error
        self.namespace, self.pool, self.seconds, self._owner = namespace, pool, seconds, owner
        self.holder = re.sub(r"[^A-Za-z0-9-]", "-", owner.name if owner else socket.gethostname())[:63].strip("-")
        try:
            api = open_client(config) if api is None else api
        except NoCluster as error:
            raise PoolError(str(error)) from error
        self._host: str = api.configuration.host
        self._helper = K8sHelper(api)
        self._under_way: set[str] = set()
        self._abandoned = False

    def claim(self, seconds: float) -> Claimed:
        """A pod that is ready; waits for it so long.

        Raises
        ------
        PoolEmpty
            None became ready in this time.
        PoolError
            The pool is not there, or the cluster refuses or is away.
        """
        name = f"judge-{uuid.uuid4().hex[:12]}"
        self._under_way.add(name)
        try:
            made = self._helper.custom_objects_api.create_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, self._manifest(name, seconds), _request_timeout=_REQUEST_SECONDS
            )
            if self._abandoned:
                raise PoolError("the controller is stopping")
            return self._ready(name, made, seconds)
        except BaseException as error:
            self._forget(name)
            raise self._told(error) from error
        finally:
            self._under_way.discard(name)

    def abandon(self) -> None:
        """End the claims that are waited for, and those made from now on."""
        self._abandoned = True
        for name in list(self._under_way):
            self._forget(name)

    def give_back(self, name: str) -> None:
        """Remove a claim and with it the pod; one that is gone is fine. Raises PoolError."""
        try:
            self._helper.delete_sandbox_claim(name, self.namespace, _REQUEST_SECONDS)
        except Exception as error:
            raise self._told(error) from error

    def left_over(self) -> list[str]:
        """Claims under this controller's name: at its start, those of a process before it. Raises PoolError."""
        try:
            return self._helper.list_sandbox_claims(self.namespace, f"{HOLDER}={self.holder}")
        except Exception as error:
            raise self._told(error) from error

    def _ready(self, name: str, made: Any, seconds: float) -> Claimed:
        from k8s_agent_sandbox.utils import select_pod_ip

        meta = made["metadata"]
        self._helper.wait_for_claim_ready(
            name, self.namespace, max(1, round(seconds)), meta["resourceVersion"], expected_uid=meta["uid"]
        )
        found = self._helper.get_sandbox_claim(name, self.namespace) or {}
        address = select_pod_ip(found.get("status", {}).get("sandbox", {}).get("podIPs"))
        if address is None:
            raise PoolError(f"claim {name} is ready, but its status has no address of a pod")
        return Claimed(name, f"[{address}]" if ":" in address else address)

    def _manifest(self, name: str, waits: float) -> dict[str, Any]:
        until = datetime.now(UTC) + timedelta(seconds=waits + self.seconds + _SPARE_SECONDS)
        meta: dict[str, Any] = {"name": name, "labels": {HOLDER: self.holder}}
        if self._owner is not None:
            owner = {"name": self._owner.name, "uid": self._owner.uid}
            meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", **owner}]
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "SandboxClaim",
            "metadata": meta,
            "spec": {
                "warmPoolRef": {"name": self.pool},
                "lifecycle": {
                    "shutdownTime": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "shutdownPolicy": "Delete",
                    "ttlSecondsAfterFinished": 0,
                },
            },
        }

    def _forget(self, name: str) -> None:
        try:
            self.give_back(name)
        except PoolError as error:
            logger.warning("claim %s could not be removed, the cluster does it later: %s", name, error)

    def _told(self, error: BaseException) -> BaseException:
        from k8s_agent_sandbox.exceptions import SandboxError
        from kubernetes.client import ApiException

        from cpp_pipeline.apiserver import no_answer, refusal, unanswered

        where = f"pool {self.pool} in namespace {self.namespace}"
        if isinstance(error, TimeoutError):
            return PoolEmpty(f"{where}: no pod became ready in time")
        if isinstance(error, ApiException) and error.status:
            return PoolError(f"{where}: {error.status} {': '.join(filter(None, refusal(error, _REMEDY)))}")
        if isinstance(error, SandboxError):
            return PoolError(f"{where}: {error}; SANDBOX_POOL names a SandboxWarmPool")
        if unanswered(error):
            return PoolError(f"{where}: {no_answer(self._host, error)}")
        if isinstance(error, Exception) and not isinstance(error, PoolError):
            return PoolError(f"{where}: {error!r}")
        return error
