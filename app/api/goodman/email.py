"""Mail to the observers."""

from http import HTTPStatus
from typing import Final

from apiflask import APIBlueprint
from flask.typing import ResponseReturnValue

from app.api.auth import current_user
from app.api.goodman import documents, proposal_documents
from app.api.openapi import described
from app.api.parsing import Fields, read_fields
from app.errors import InvalidRequestError
from app.models import User
from app.services import archive, mail, proposals
from app.services.mail import Letter, MailNotSetUpError, Sent
from app.wording import counted

_WHOM: Final = ("proposal", "to", "file_id")
_KNOWN: Final = frozenset({"subject", "message", *_WHOM})


def register(blueprint: APIBlueprint) -> None:
    """Put the call under the prefix of `blueprint`."""
    blueprint.post("/email/")(send_mail)


@described(
    body=proposal_documents.MAIL,
    answer=proposal_documents.MAILED,
    status=202,
    refusals={
        400: documents.FIELD_ERRORS,
        403: documents.DETAIL,
        404: documents.DETAIL,
        409: proposal_documents.NOT_SET_UP,
        429: documents.DETAIL,
    },
)
def send_mail() -> ResponseReturnValue:
    """Write to the people of a proposal, or of a file's, or to some of them by name.

    Staff write to anybody with an account, others to the people of their own proposals. A job
    sends it, to each person once, and tries again while the mail server is away.
    """
    user, fields = current_user(), read_fields()
    for name in sorted(set(fields) - _KNOWN):
        known = ", ".join(("subject", "message", *_WHOM))
        raise InvalidRequestError(**{name: f"There is no such field; these are: {known}."})
    letter = mail.written(fields.text("subject") or "", fields.text("message") or "")
    try:
        sent = _send(user, fields, letter)
    except MailNotSetUpError as error:
        answer = {"detail": str(error), "missing": error.missing, "addresses": error.addresses}
        return answer, error.status
    return {
        "detail": f"On its way to {counted(len(sent.people), 'person', 'people')}.",
        "job": sent.job.id,
        "recipients": [person.username for person in sent.people],
    }, HTTPStatus.ACCEPTED


def _send(user: User, fields: Fields, letter: Letter) -> Sent:
    given = [name for name in _WHOM if fields.given(name)]
    if len(given) != 1:
        raise InvalidRequestError("Say to whom: exactly one of proposal, to and file_id.")
    if given == ["to"]:
        return mail.write_to(user, fields.words("to"), letter)
    if given == ["proposal"]:
        proposal = proposals.named(user, fields.text("proposal") or "")
        return mail.write_to_proposal(user, proposal, letter)
    frame = archive.one(user, frame_id=fields.integer("file_id"))
    if frame.proposal is None:
        raise InvalidRequestError(file_id=f"{frame.file_name} belongs to no proposal.")
    return mail.write_to_proposal(user, frame.proposal, letter)
