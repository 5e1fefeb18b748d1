"""One FITS card: its value, its comment, its text."""

from functools import lru_cache

Value = str | bool | int | float | None

_MAX_TEXTS = 32768
_UNPRINTABLE = dict.fromkeys([*range(32), *range(127, 160)])


def decode(raw: bytes) -> str:
    """Decode header bytes to printable text; a byte that no reader understands is dropped."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    return text if text.isprintable() else text.translate(_UNPRINTABLE)


def _closing_quote(field: bytes, start: int) -> int:
    """Return where the string that begins at `start` ends; the field's end without a quote."""
    at = start
    while True:
        at = field.find(b"'", at)
        if at < 0:
            return len(field)
        if field[at + 1 : at + 2] != b"'":
            return at
        at += 2


def _token(field: bytes) -> tuple[bytes, bool]:
    """Return the value of a value field, and whether it was quoted."""
    stripped = field.lstrip()
    if stripped[:1] != b"'":
        return stripped.partition(b"/")[0].strip(), False
    end = _closing_quote(stripped, 1)
    return stripped[1:end].replace(b"''", b"'").rstrip(), True


def _comment(field: bytes) -> bytes:
    """Return what follows the slash behind the value of a value field."""
    stripped = field.lstrip()
    end = _closing_quote(stripped, 1) + 1 if stripped[:1] == b"'" else 0
    return stripped[end:].partition(b"/")[2]


def _number(token: bytes) -> int | float | None:
    # Python reads 1_000 as a number; FITS does not.
    if b"_" in token:
        return None
    try:
        return float(token) if b"." in token else int(token)
    except ValueError:
        pass
    try:
        return float(token.upper().replace(b"D", b"E") if b"D" in token.upper() else token)
    except ValueError:
        return None


@lru_cache(maxsize=16384)
def parse_value(field: bytes) -> Value:
    """Parse a value field: what follows the ``=`` of a card.

    Parameters
    ----------
    field : bytes
        The card from after its equals sign to its end.

    Returns
    -------
    str, bool, int, float or None
        None where the card has no value. What is neither a number nor a logical is taken as text,
        quoted or not: real headers hold both. Nothing is evaluated.
    """
    token, quoted = _token(field)
    if quoted:
        return decode(token)
    if not token:
        return None
    if token in (b"T", b"F"):
        return token == b"T"
    number = _number(token)
    return decode(token) if number is None else number


@lru_cache(maxsize=16384)
def parse_text(field: bytes) -> str:
    """Return the value of a field as it is written, without quotes: ``89113e6`` stays so."""
    return decode(_token(field)[0])


class _Texts(dict[bytes, str]):
    """Cards as text without trailing blanks, by their bytes; most have been seen before."""

    def __missing__(self, card: bytes) -> str:
        if len(self) >= _MAX_TEXTS:
            self.clear()
        text = self[card] = decode(card).rstrip()
        return text


text_of_card = _Texts().__getitem__


@lru_cache(maxsize=4096)
def parse_comment(field: bytes) -> str:
    """Return the comment of a value field."""
    return decode(_comment(field)).strip()
