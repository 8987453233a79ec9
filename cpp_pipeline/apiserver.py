"""What rooms share that talk to a Kubernetes API server.

Belongs here: which cluster is meant, and what an error of its server means to a user. Not here: what is asked of it
(`launch.k8s.api`, `sandbox.pool.claims`). The library is imported when a client is opened.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_SETTING = "CPP_PIPELINE_K8S_CONFIG"
_PLACES = f"{_SETTING} (or KUBECONFIG, or the pod's account)"
_USUAL = "~/.kube/config"
_AGAIN = (429, 500, 502, 503, 504)
_SHORT = 500
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.+?), used: ")
_MISSING_RIGHT = re.compile(r" cannot \w+ (resource|path) ")
_UNKNOWN_ACCOUNT = f"the cluster does not know this account: renew the credentials of {_PLACES}"
_LATER = "the API server is up, but not able to serve: wait until it is well, then try again"
_ADMISSION = (
    "the account has the right, but a rule of the cluster or the namespace (PodSecurity, an admission webhook, limits) "
    "does not admit this object: change what the message names, or ask who made the rule"
)


class NoCluster(RuntimeError):
    """There is no usable configuration of a cluster; names the setting and what was looked for."""


def open_client(config: str = "") -> ApiClient:
    """A client of the API server; nothing is sent yet.

    Parameters
    ----------
    config : str
        Path of a kubeconfig file. Empty means the files of `KUBECONFIG` (or the default one) if there is one, else
        the account of the pod that this runs in, whose token is read again when it is renewed.

    Raises
    ------
    NoCluster
        None of them can be used.
    ImportError
        The library is not installed.
    """
    import yaml
    from kubernetes import client
    from kubernetes import config as loading
    from kubernetes.config import kube_config

    files = config or kube_config.KUBE_CONFIG_DEFAULT_LOCATION or _USUAL
    there = any(os.path.exists(os.path.expanduser(f)) for f in files.split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR))
    settings = client.Configuration()
    # not `load_config`: it takes an argument `config_file=None` for a named file, and looks for no account then
    try:
        if there:
            loading.load_kube_config(files, client_configuration=settings)
        elif config:
            raise FileNotFoundError("no such file")
        else:
            loading.load_incluster_config(client_configuration=settings)
    except (loading.ConfigException, OSError, yaml.YAMLError, *_MALFORMED) as error:
        why = " ".join(str(error).split())
        if config:
            text = f"{_SETTING}={config!r} cannot be used ({why}): name a kubeconfig file"
        elif there:
            text = f"{_SETTING} is not set, and {files} cannot be used ({why}): name a kubeconfig file"
        else:
            text = (
                f"{_SETTING} is not set, there is no {files} (KUBECONFIG), and no account of a pod ({why}): "
                "name a kubeconfig file, or run in a pod with a service account"
            )
        raise NoCluster(f"no cluster to be found: {text}") from error
    settings.retries = False
    return client.ApiClient(settings)


def unanswered(error: BaseException) -> bool:
    """Whether the server gave no answer at all."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, ApiException):
        return not error.status
    return isinstance(error, HTTPError | ConnectionError | TimeoutError) or _tls_error(error) is not None


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    tls = _tls_error(error)
    if tls is not None:
        # a server that is being stopped leaves in the middle of it
        return isinstance(next(iter(tls.args), None), ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return unanswered(error) or getattr(error, "status", 0) in _AGAIN


def no_answer(host: str, error: BaseException) -> str:
    """What to tell of a call that is `unanswered`."""
    why = reason(_tls_error(error) or error)
    if may_pass(error):
        return f"the API server {host} cannot be reached ({why}): is the cluster of {_PLACES} the right one, and up?"
    return (
        f"no secure connection to the API server {host} ({why}): its certificate has to fit the host and the "
        f"certificate authority of {_PLACES}"
    )


def refusal(error: Any, remedies: Mapping[int, str]) -> tuple[str, str]:
    """What the server says in an `ApiException`, and the remedy, which is empty when there is none to name.

    Parameters
    ----------
    remedies
        By status; that of 403 is for a missing right, since admission and quotas refuse with 403 as well.
    """
    said = reason(error)
    quota = _QUOTA.search(said)
    if quota:
        used_up = ", ".join(part.partition("=")[0].strip() for part in quota["requested"].split(","))
        return said, (
            f"ResourceQuota {quota['name']} of the namespace is used up ({used_up}): "
            "wait until something ends, delete what is not needed, or have the quota raised"
        )
    if error.status == 403 and said != _bare(error) and not _MISSING_RIGHT.search(said):
        return said, _ADMISSION
    if error.status in _AGAIN:
        return said, _LATER
    return said, {401: _UNKNOWN_ACCOUNT, **remedies}.get(int(error.status or 0), "")


def reason(error: Any) -> str:
    """An error in the words of the server or of the network, cut to some hundred characters."""
    from kubernetes.client import ApiException

    if not isinstance(error, ApiException):
        inner = getattr(error, "reason", None) or error
        return _short(str(inner).rpartition("): ")[2]) or type(error).__name__
    try:
        return _short(json.loads(error.body)["message"]) or _bare(error)
    except (TypeError, ValueError, KeyError):
        return _bare(error)


def _bare(error: Any) -> str:
    return _short(f"{error.status or ''} {error.reason}")


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHORT]


def _tls_error(error: BaseException) -> BaseException | None:
    """What went wrong with TLS, which the client library hides: at 36.0 behind an AttributeError of its own."""
    from urllib3.exceptions import SSLError

    found: BaseException | None = error
    while found is not None and not isinstance(found, SSLError):
        hidden = isinstance(found, AttributeError) or (hasattr(found, "reason") and not getattr(found, "status", 0))
        inner = getattr(found, "reason", None)
        found = (inner if isinstance(inner, Exception) else found.__context__) if hidden else None
    return found
