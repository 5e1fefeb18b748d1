"""What can go wrong in a reduction, as types a caller can tell apart."""


class ReductionError(Exception):
    """A reduction could not produce its result; the message says why to an observer."""


class ShapeMismatchError(ReductionError):
    """Images that must be combined differ in shape."""


class NotEnoughFramesError(ReductionError):
    """Fewer usable frames than the combination needs."""

    def __init__(self, found: int, needed: int, why: str = "") -> None:
        super().__init__(
            f"{found} usable frames, at least {needed} needed" + (f": {why}" if why else "")
        )
        self.found = found
        self.needed = needed


class BadFrameError(ReductionError):
    """The pixels of a frame cannot be used."""


class BadFileError(ReductionError):
    """A file that cannot be taken for a FITS image; the message says what is wrong with it.

    `code` is a stable short name of the reason (``truncated``, ``not_fits``, ``too_large``,
    ``compression``, ...), for counting and for tests.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
