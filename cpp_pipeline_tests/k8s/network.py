"""Who may speak to whom, as a network plugin that enforces NetworkPolicies decides.

Belongs here: the meaning of policies. Not here: which pods there are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """One end of a connection inside the cluster."""

    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Network:
    """The policies of a cluster and the labels of its namespaces."""

    policies: Sequence[Object]
    namespaces: Mapping[str, Mapping[str, str]]

    def allows(self, source: Pod, target: Pod | str, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection to a pod, or to an address outside, comes through at both ends."""
        out = self._open(source, "Egress", target, port, protocol)
        return out and (isinstance(target, str) or self._open(target, "Ingress", source, port, protocol))

    def _open(self, pod: Pod, direction: str, peer: Pod | str, port: int, protocol: str) -> bool:
        about = [
            p["spec"]
            for p in self.policies
            if p["metadata"]["namespace"] == pod.namespace
            and direction in p["spec"]["policyTypes"]
            and matches(p["spec"]["podSelector"], pod.labels)
        ]
        if not about:
            return True
        key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        rules = [rule for spec in about for rule in spec.get(key) or []]
        return any(
            _has_port(rule.get("ports"), port, protocol)
            and (peers not in rule or any(self._is(found, peer, pod.namespace) for found in rule[peers]))
            for rule in rules
        )

    def _is(self, peer: Object, other: Pod | str, home: str) -> bool:
        if isinstance(other, str):
            block = peer.get("ipBlock")
            inside = ipaddress.ip_address(other)
            return (
                block is not None
                and inside in ipaddress.ip_network(block["cidr"])
                and not any(inside in ipaddress.ip_network(out) for out in block.get("except", []))
            )
        if "ipBlock" in peer:
            return False
        if "namespaceSelector" in peer:
            if not matches(peer["namespaceSelector"], self.namespaces[other.namespace]):
                return False
        elif other.namespace != home:
            return False
        return matches(peer.get("podSelector", {}), other.labels)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels fit a selector."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    if not selector.get("matchLabels", {}).items() <= dict(labels).items():
        return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def _has_port(ports: Sequence[Object] | None, port: int, protocol: str) -> bool:
    return ports is None or any(p.get("port", port) == port and p.get("protocol", "TCP") == protocol for p in ports)
