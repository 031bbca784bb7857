"""TLS settings: the properties that Apache's shell takes make the same connection here."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from tests.support.shell_process import run_shell, shell_environment
from zkserver.cli.shell_arguments import CommandError
from zkserver.cli.shell_tls import context_for

PASSWORD = b"secret"


@pytest.fixture(name="stores", scope="module")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that is its own authority, as PEM and as PKCS#12."""
    folder = tmp_path_factory.mktemp("stores")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    encryption = serialization.BestAvailableEncryption(PASSWORD)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (folder / "trust.pem").write_bytes(pem)
    (folder / "own.pem").write_bytes(key.private_bytes(*plain, encryption) + pem)
    (folder / "server.pem").write_bytes(key.private_bytes(*plain, serialization.NoEncryption()) + pem)
    (folder / "own.p12").write_bytes(pkcs12.serialize_key_and_certificates(b"own", key, certificate, None, encryption))
    (folder / "trust.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(None, None, None, [certificate], encryption)
    )
    (folder / "password").write_bytes(PASSWORD + b"\n")
    return folder


@pytest.fixture(name="tls_port")
def _tls_port(port: int, stores: Path) -> Iterator[int]:
    """A port that speaks TLS, asks for a certificate, and passes on to the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stores / "server.pem")
    context.load_verify_locations(stores / "trust.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                with (
                    context.wrap_socket(listener.accept()[0], server_side=True) as outside,
                    socket.create_connection(("127.0.0.1", port)) as inside,
                ):
                    back = threading.Thread(target=copy, args=(inside, outside))
                    back.start()
                    copy(outside, inside)
                    inside.shutdown(socket.SHUT_RDWR)
                    back.join()
            except OSError:
                return

        def copy(source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("kind", ["pem", "p12"])
def test_a_command_over_tls(tls_port: int, stores: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "client.properties"
    file.write_text(
        "zookeeper.client.secure=true\n"
        f"zookeeper.ssl.trustStore.location={stores}/trust.{kind}\nzookeeper.ssl.trustStore.password=secret\n"
        f"zookeeper.ssl.keyStore.location={stores}/own.{kind}\nzookeeper.ssl.keyStore.passwordPath={stores}/password\n"
        "zookeeper.ssl.hostnameVerification=false\n"
    )
    done = run_shell(tls_port, "-client-configuration", str(file), "ls", "/zookeeper")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n[config, quota]\n")


def test_a_stranger_is_not_trusted(tls_port: int) -> None:
    flags = shell_environment(CLIENT_JVMFLAGS="-Dzookeeper.client.secure=true")
    done = run_shell(tls_port, "ls", "/", environment=flags)
    assert (done.returncode, done.stderr) == (1, "KeeperErrorCode = ConnectionLoss for /\n")


def test_a_wrong_password_is_told(stores: Path) -> None:
    flags = f"-Dzookeeper.client.secure=true -Dzookeeper.ssl.keyStore.location={stores}/own.p12"
    with pytest.raises(CommandError) as refused:
        context_for(None, {"CLIENT_JVMFLAGS": flags})
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith("TLS: ")
