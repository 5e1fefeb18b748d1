"""The mail server: one connection, a letter a person, and whether a refusal is for good."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from app import config
from app.services import settings

TIMEOUT_S: Final = 30.0
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MailRefusedError(Exception):
    """The mail server will not take this, now or later; the message says why."""


class MailDelayedError(Exception):
    """The mail server cannot be reached or is busy: to be tried again."""


@dataclass(frozen=True, slots=True)
class Server:
    """How the mail server is spoken to."""

    host: str
    port: int
    security: str
    user: str
    sender: str
    sender_name: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, snapshot: settings.Snapshot) -> "Server":
        """Return the server the settings name."""
        return cls(
            host=snapshot.text("mail.smtp_host"),
            port=snapshot.integer("mail.smtp_port"),
            security=snapshot.text("mail.security"),
            user=snapshot.text("mail.smtp_user"),
            sender=snapshot.text("mail.sender"),
            sender_name=snapshot.text("site.name"),
            password=config.current().smtp_password,
        )


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one person; `key` makes it the same mail when it is sent once more."""

    to: str
    subject: str
    text: str
    key: str
    reply_to: str = ""
    is_automatic: bool = False  # no person wrote it, so that no absence note answers it


def compose(server: Server, mail: Mail) -> EmailMessage:
    """Return the message as it goes over the wire.

    Raises
    ------
    MailRefusedError
        If an address or the subject cannot stand in a header.
    """
    message = EmailMessage()
    name = " ".join(server.sender_name.split())
    try:
        message["From"] = Address(name, addr_spec=server.sender)
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = mail.subject
        if mail.reply_to:
            message["Reply-To"] = Address(addr_spec=mail.reply_to)
    except (ValueError, IndexError) as error:  # a line break, or no address: what the parser says
        raise MailRefusedError(f"{mail.to!r} cannot be written to: {error}") from error
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{mail.key}@{server.sender.rpartition('@')[2]}>"
    if mail.is_automatic:
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


@contextmanager
def connected(server: Server) -> Iterator[smtplib.SMTP]:
    """Open a connection, signed in where that is wanted.

    Raises
    ------
    MailDelayedError
        If the server is away or busy.
    MailRefusedError
        If it will never do: a wrong password, a certificate nobody signed, no encryption.
    """
    with _sorted(server):
        connection = _open(server)
    try:
        with _sorted(server):
            _sign_in(connection, server)
        yield connection
        _say_goodbye(connection)
    finally:
        connection.close()


def _open(server: Server) -> smtplib.SMTP:
    place = (server.host, server.port)
    if server.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(*place, timeout=TIMEOUT_S, context=context)
    return smtplib.SMTP(*place, timeout=TIMEOUT_S)


def _sign_in(connection: smtplib.SMTP, server: Server) -> None:
    if server.security == "starttls":
        connection.starttls(context=ssl.create_default_context())
    if not server.user:
        return
    if server.security == "none" and server.host not in _LOCAL:
        raise MailRefusedError(
            "the password of mail.smtp_user would travel unencrypted: "
            "set mail.security to starttls or tls"
        )
    connection.login(server.user, server.password)


def _say_goodbye(connection: smtplib.SMTP) -> None:
    """End politely; what was sent is sent, whatever the server says to that."""
    with suppress(smtplib.SMTPException, OSError):
        connection.quit()


def deliver(connection: smtplib.SMTP, server: Server, mail: Mail) -> None:
    """Hand a mail to the server; it is theirs once this returns.

    Raises
    ------
    MailDelayedError
        If the server is gone or wants it later.
    MailRefusedError
        If it will not have this mail.
    """
    message = compose(server, mail)
    with _sorted(server):
        try:
            connection.send_message(message, from_addr=server.sender, to_addrs=[mail.to])
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = next(iter(error.recipients.values()))
            raise smtplib.SMTPResponseException(code, reply) from error


@contextmanager
def _sorted(server: Server) -> Iterator[None]:
    """Turn what goes wrong into one of the two kinds: again later, or never."""
    place = f"the mail server {server.host}:{server.port}"
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise _judged(error, f"{place} refuses mail.smtp_user and its password") from error
    except smtplib.SMTPResponseException as error:
        raise _judged(error, place) from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefusedError(f"{place} cannot do what is asked of it: {error}") from error
    except ssl.SSLCertVerificationError as error:
        why = f"{place} shows a certificate that is not trusted here: {error.verify_message}"
        raise MailRefusedError(why) from error
    except ssl.SSLError as error:
        raise _judged_tls(error, place) from error
    except UnicodeError as error:
        raise MailRefusedError(
            f"{place}: a name or an address cannot be written: {error}"
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailDelayedError(f"{place} does not answer: {error}") from error


def _judged_tls(error: ssl.SSLError, place: str) -> Exception:
    """Return a failed encryption: for good where the other side does not speak any."""
    if error.reason == "WRONG_VERSION_NUMBER":
        return MailRefusedError(
            f"{place} does not speak TLS at once: mail.security may be starttls"
        )
    return MailDelayedError(f"{place} does not answer: {error}")


def _judged(error: smtplib.SMTPResponseException, what: str) -> Exception:
    """Return a refusal by its code: 4xx is for now, 5xx for good."""
    reply = error.smtp_error
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    said = f"{what}: {error.smtp_code} {' '.join(text.split())}"
    is_for_now = 400 <= error.smtp_code < 500 or error.smtp_code < 0
    return MailDelayedError(said) if is_for_now else MailRefusedError(said)
