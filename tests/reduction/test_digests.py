"""Digests of headers: what they are the same for, and what they were before."""

import hashlib
from pathlib import Path

import numpy as np
from astropy.io import fits

from reduction import fitsio
from reduction.digests import BEHIND_FORMER, former_digest, header_digest


def test_digest_is_marked_and_the_same_from_run_to_run() -> None:
    # 128 bits of XXH3 without a seed, as its specification has them of nothing.
    assert header_digest(b"") == "x99aa06d3014798d86001c324468d497f"
    assert header_digest(b"A" * 80) != header_digest(b"B" * 80)


def test_former_digests_sort_before_those_of_today() -> None:
    former = [former_digest(bytes([byte])) for byte in range(256)]

    assert former[65] == hashlib.sha256(b"A").hexdigest()
    assert "" < max(former) < BEHIND_FORMER < header_digest(b"A")


def test_digests_are_of_the_headers_with_their_end_and_not_of_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((4, 4), np.uint8)).writeto(path)
    headers = fitsio.read_headers(path)
    ended = headers.hdus[0].cards.raw_bytes + b"END"

    assert headers.digest == header_digest(ended)
    assert headers.former_digest == former_digest(ended)

    extensions = [fits.ImageHDU(np.zeros((4, 4), np.uint8), name=name) for name in ("SCI", "VAR")]
    digests = {headers.digest}
    for extension in extensions:
        two = tmp_path / f"{extension.name}.fits"
        fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4), np.uint8)), extension]).writeto(two)
        digests |= {fitsio.read_headers(two).digest}
    assert len(digests) == 3

    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    assert fitsio.read_headers(path).digest == headers.digest
