"""A real mail server on this machine: keeps what it gets, refuses what it is told to."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from app.db import db, transaction
from app.models import StoredSetting
from tests.faults.program import free_port

ACCOUNT = ("dome", "open sesame")


@dataclass
class Post:
    """What arrived, as (to whom, message); `answers` are what some addresses get instead of 250."""

    arrived: list[tuple[str, EmailMessage]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    hang_up_after: int | None = None

    async def handle_RCPT(  # noqa: N802 - the name aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.arrived += [(address, message) for address in envelope.rcpt_tos]
        if self.hang_up_after is not None and len(self.arrived) >= self.hang_up_after:
            server.transport.abort()
        return "250 taken"

    @property
    def addresses(self) -> list[str]:
        return [address for address, _ in self.arrived]


def knows(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    assert isinstance(given, LoginPassword)
    is_right = (given.login.decode(), given.password.decode()) == ACCOUNT
    return AuthResult(success=is_right, handled=False)


@contextmanager
def running(post: Post, **options: Any) -> Iterator[int]:
    """Run the server, and give its port."""
    port = free_port()  # the server cannot choose one itself
    controller = Controller(post, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def certificate(folder: Path) -> tuple[Path, SSLContext]:
    """A certificate of 127.0.0.1 that it signed itself, and the server's side of it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def set_up(port: int, **more: str | int) -> None:
    """Point the settings at a mail server of this machine."""
    values = {"smtp_host": "127.0.0.1", "smtp_port": port, "sender": "dome@site.org"} | more
    with transaction():
        for item, value in values.items():
            section, _, name = item.rpartition(".")
            row = StoredSetting(section=section or "mail", item=name, value=value)
            db.session.merge(row)
