"""A pod's service account, and the API server that it is for: HTTPS on loopback, as a process in a pod finds them."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes.config import incluster_config, kube_config

HOST = "127.0.0.1"


@dataclass
class SecureServer:
    """An API server that lists nothing, and notes what accounts come."""

    port: int
    certificate: Path
    authorizations: list[str] = field(default_factory=list)

    def kubeconfig(self, certificate: Path) -> dict[str, Any]:
        """What a kubeconfig file for this server holds; it trusts a certificate."""
        server = {"server": f"https://{HOST}:{self.port}", "certificate-authority": str(certificate)}
        return kubeconfig(server)


def kubeconfig(server: dict[str, str]) -> dict[str, Any]:
    """What a kubeconfig file of one cluster and no credentials holds."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "c", "user": {}}],
    }


@contextlib.contextmanager
def secure_server(folder: Path) -> Iterator[SecureServer]:
    """An API server with a certificate of its own, which lies in the folder as `ca.crt`."""
    certificate = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key")
    told = SecureServer(0, certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.authorizations.append(self.headers.get("Authorization", ""))
            body = json.dumps({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def be_a_pod(server: SecureServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look like a pod of the server's cluster to the client library; returns the token's file."""
    token = folder / "token"
    token.write_text("first-token")
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "no-kubeconfig"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(server.certificate))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", HOST)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    return token


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for loopback, `ca.crt`, beside its `key`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.crt"
