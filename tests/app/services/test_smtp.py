"""The mail server, a real one: what arrives, and which refusals are for good."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.services import smtp
from app.services.smtp import Mail, MailDelayedError, MailRefusedError, Server
from tests import mailserver
from tests.faults.program import free_port
from tests.mailserver import ACCOUNT, Post

LETTER = Mail(to="eva@site.org", subject="Nebel über der Kuppel", text="Später.\n", key="k1")


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def server(post: Post) -> Iterator[Server]:
    with mailserver.running(post) as port:
        yield at(port)


def at(port: int, *, security: str = "none", user: str = "", password: str = "") -> Server:
    return Server("127.0.0.1", port, security, user, "dome@site.org", "Kuppel\nEins", password)


def send(server: Server, mail: Mail = LETTER) -> None:
    with smtp.connected(server) as connection:
        smtp.deliver(connection, server, mail)


def test_mail_arrives_with_every_letter_of_its_text_and_says_where_to_answer(
    server: Server, post: Post
) -> None:
    send(server, replace(LETTER, reply_to="pi@site.org"))

    [(to, message)] = post.arrived
    assert to == "eva@site.org"
    assert message["Subject"] == "Nebel über der Kuppel"
    assert message["From"] == "Kuppel Eins <dome@site.org>"
    assert (message["To"], message["Reply-To"]) == ("eva@site.org", "pi@site.org")
    assert message["Message-ID"] == "<k1@site.org>"
    assert message.get_content().splitlines() == ["Später."]


def test_the_same_mail_sent_again_can_be_told_by_its_id(server: Server, post: Post) -> None:
    send(server)
    send(server)

    assert len({message["Message-ID"] for _, message in post.arrived}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        replace(LETTER, subject="Hello\r\nBcc: everybody@site.org"),
        replace(LETTER, to="eva@site.org\nBcc: everybody@site.org"),
        replace(LETTER, to="no address"),
        replace(LETTER, to=""),
        replace(LETTER, reply_to="pi@site.org\r\nBcc: everybody@site.org"),
        replace(LETTER, to="eva@site.org, everybody@site.org"),
    ],
)
def test_nothing_becomes_a_header_or_a_recipient_of_its_own(
    server: Server, post: Post, wrong: Mail
) -> None:
    with pytest.raises(MailRefusedError):
        send(server, wrong)

    assert post.arrived == []


@pytest.mark.parametrize(
    ("answer", "kind"), [("450 later", MailDelayedError), ("550 no such user", MailRefusedError)]
)
def test_a_refusal_is_for_now_or_for_good_by_its_code(
    server: Server, post: Post, answer: str, kind: type[Exception]
) -> None:
    post.answers["eva@site.org"] = answer

    with pytest.raises(kind, match=answer):
        send(server)


def test_a_refused_person_keeps_the_next_one_from_nothing(server: Server, post: Post) -> None:
    post.answers["eva@site.org"] = "550 no such user"

    with smtp.connected(server) as connection:
        with pytest.raises(MailRefusedError):
            smtp.deliver(connection, server, LETTER)
        smtp.deliver(connection, server, replace(LETTER, to="max@site.org"))

    assert post.addresses == ["max@site.org"]


def test_a_server_that_is_away_is_tried_later() -> None:
    port = free_port()

    with pytest.raises(MailDelayedError, match=f"127.0.0.1:{port} does not answer"):
        send(at(port))


def test_a_password_is_given_over_an_encrypted_line_that_is_trusted(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, context = mailserver.certificate(tmp_path)
    options = {"tls_context": context, "auth_required": True, "authenticator": mailserver.knows}

    with mailserver.running(post, **options) as port:
        with pytest.raises(MailRefusedError, match="certificate that is not trusted"):
            send(at(port, security="starttls", user=ACCOUNT[0], password=ACCOUNT[1]))
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        with pytest.raises(MailRefusedError, match="refuses mail.smtp_user and its password"):
            send(at(port, security="starttls", user=ACCOUNT[0], password="wrong"))
        send(at(port, security="starttls", user=ACCOUNT[0], password=ACCOUNT[1]))

    assert post.addresses == ["eva@site.org"]


def test_tls_from_the_first_byte_works_and_is_not_taken_for_the_other_kind(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    cert, context = mailserver.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))

    with mailserver.running(post, ssl_context=context) as port:
        send(at(port, security="tls"))
    with pytest.raises(MailRefusedError, match="mail.security may be starttls"):
        send(replace(server, security="tls"))
    with pytest.raises(MailRefusedError, match="cannot do what is asked"):
        send(replace(server, security="starttls"))

    assert post.addresses == ["eva@site.org"]


def test_a_password_never_travels_in_the_clear(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "_LOCAL", frozenset())

    with pytest.raises(MailRefusedError, match="would travel unencrypted"):
        send(replace(server, user="dome", password="secret"))


def test_the_password_is_not_shown_with_the_server(app: Flask) -> None:
    assert "secret" not in repr(at(25, user="dome", password="secret"))
