"""Digests of headers: files whose headers have different ones are different files."""

import hashlib
from typing import Final

from xxhash import xxh3_128_hexdigest

_MARK: Final = "x"
# Digests of before this one were SHA-256, in hexadecimal digits; the marked ones sort behind them.
BEHIND_FORMER: Final = "g"


def header_digest(raw: bytes) -> str:
    """Return the digest of a file's headers, each with its END, by which copies are looked for.

    Two have never the same by chance. It need not withstand those who want them to: who may write
    into RAW may as well write one header twice. XXH3 takes less than a tenth of SHA-256's time.
    """
    return _MARK + xxh3_128_hexdigest(raw)


def former_digest(raw: bytes) -> str:
    """Return the digest that such headers had in databases of before."""
    return hashlib.sha256(raw).hexdigest()
