"""Staff and accounts: who may touch whose, and how a refusal is worded."""

from typing import Final

from app.errors import NotAllowedError
from app.models import User
from app.services import settings

NOT_ALLOWED: Final = "You do not have permission to perform this action."


def is_staff(user: User) -> bool:
    """Tell whether `user` is staff; a superuser is."""
    return user.is_staff or user.is_superuser


def is_open_site() -> bool:
    """Tell whether everyone signed in sees every frame."""
    return settings.snapshot().text("access.visibility") != "members"


def sees_every_frame(user: User | None) -> bool:
    """Tell whether no frame is hidden from `user`; None is the house itself."""
    return user is None or is_staff(user) or is_open_site()


def check_staff(user: User) -> None:
    """Refuse whoever is not staff.

    Raises
    ------
    NotAllowedError
        In the words every API uses.
    """
    if not is_staff(user):
        raise NotAllowedError(NOT_ALLOWED)


def may_manage(user: User, person: User) -> bool:
    """Tell whether `user` may change somebody's account: staff an observer's, superusers all."""
    return user.is_superuser or (user.is_staff and not is_staff(person))


def check_manage(user: User | None, person: User) -> None:
    """Refuse to let `user` change somebody's account; None is the command line, which may.

    Raises
    ------
    NotAllowedError
        For whoever is not staff, and for staff where the account is of staff.
    """
    if user is None or may_manage(user, person):
        return
    check_staff(user)
    raise NotAllowedError("Only a superuser may do this for staff.")


def check_email(user: User | None, person: User) -> None:
    """Refuse a change of an e-mail address by an observer: by it proposals find their people.

    Raises
    ------
    NotAllowedError
        Also of one's own.
    """
    if user is not None and not is_staff(user):
        raise NotAllowedError("E-mail addresses are changed by staff: proposals find people by it.")
    check_account(user, person)


def check_account(user: User | None, person: User) -> None:
    """Refuse to let `user` touch somebody's tokens, browsers or password; one's own one may."""
    if user is None or user.id != person.id:
        check_manage(user, person)
