"""What a service may refuse, with its HTTP status; each face words it in its own way."""

from http import HTTPStatus


class AppError(Exception):
    """A request the program understood and refused."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class InvalidRequestError(AppError):
    """Parameters that cannot be honoured; `fields` maps each to what is wrong."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str = "", /, **fields: str) -> None:
        super().__init__(message or "; ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = fields


class NotAuthenticatedError(AppError):
    """Nobody is signed in, or the token is not good."""

    status = HTTPStatus.UNAUTHORIZED


class NotAllowedError(AppError):
    """The user may see this, but not do it."""

    status = HTTPStatus.FORBIDDEN


class NotFoundError(AppError):
    """No such row or file, or none this user may see."""

    status = HTTPStatus.NOT_FOUND


class ConflictError(AppError):
    """The row is in a state that does not allow this."""

    status = HTTPStatus.CONFLICT


class ThrottledError(AppError):
    """Too many requests; try again in `wait_s` seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Request was throttled. Expected available in {wait_s} seconds.")
        self.wait_s = wait_s


class UnavailableError(AppError):
    """A part of the program this needs is not running, or the disk is full."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
