"""Header texts, one card a line, made into files of empty pixels."""

import os
from collections.abc import Iterable
from pathlib import Path

CARD, BLOCK = 80, 2880
MANDATORY = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS")


def card(keyword: str, value: object, comment: str = "") -> str:
    """Return one card of a keyword and a value as it shall stand in the file."""
    text = {True: "T", False: "F"}.get(value) if isinstance(value, bool) else None
    if text is None:
        text = f"'{value:<8}'" if isinstance(value, str) else str(value)
    return f"{keyword:<8}= {text:>20}" + (f" / {comment}" if comment else "")


def header_bytes(lines: Iterable[str]) -> bytes:
    """Return whole header blocks of cards; a line that is too long is cut."""
    cards = [line.encode("utf-8")[:CARD].ljust(CARD) for line in lines]
    raw = b"".join([*cards, b"END".ljust(CARD)])
    return raw + b" " * (-len(raw) % BLOCK)


def image_lines(
    *cards: str, shape: tuple[int, ...] = (20, 30), bitpix: int = 16, unsigned: bool = True
) -> list[str]:
    """Return the lines of a primary header of an image, with further cards."""
    lines = [card("SIMPLE", True), card("BITPIX", bitpix), card("NAXIS", len(shape))]
    lines += [card(f"NAXIS{i}", n) for i, n in enumerate(reversed(shape), 1)]
    if unsigned and bitpix == 16:
        lines += [card("BSCALE", 1), card("BZERO", 32768)]
    return [*lines, *cards]


def write_image(path: Path, *cards: str, shape: tuple[int, ...] = (20, 30)) -> Path:
    """Write an unsigned 16-bit image of zeros with these cards."""
    n_bytes = 2
    for length in shape:
        n_bytes *= length
    path.write_bytes(header_bytes(image_lines(*cards, shape=shape)) + b"\0" * n_bytes)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a file whose headers are those of a text, and whose pixels are a hole in the disk.

    Texts that are only a part of their file get what is missing: a primary header, the mandatory
    keywords, and a small image where the file's images are not in the text.
    """
    with path.open("wb") as file:
        headers = _headers(text.splitlines())
        for lines in headers:
            file.write(header_bytes(lines))
            size = _data_bytes(lines)
            file.seek(size + -size % BLOCK, os.SEEK_CUR)
        file.truncate(file.tell())
    return path


def _number(lines: list[str], keyword: str, default: int = 0) -> int:
    for line in lines:
        if line.startswith(f"{keyword:<8}="):
            return int(float(line[10:30].split("/")[0]))
    return default


def _data_bytes(lines: list[str]) -> int:
    n_axes = _number(lines, "NAXIS")
    if not n_axes:
        return 0
    n_values = 1
    for i in range(1, n_axes + 1):
        n_values *= _number(lines, f"NAXIS{i}")
    return abs(_number(lines, "BITPIX", 8)) // 8 * (n_values + _number(lines, "PCOUNT"))


def _headers(lines: list[str]) -> list[list[str]]:
    headers: list[list[str]] = []
    for line in lines:
        if line.startswith(("SIMPLE  =", "XTENSION=")) or not headers:
            headers.append([])
        if line.strip() != "END":
            headers[-1].append(line)
    if not headers[0][0].startswith("SIMPLE"):
        headers.insert(0, [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0)])
    primary = headers[0]
    if not any(line.startswith("NAXIS   =") for line in primary):
        primary[1:1] = [card("BITPIX", 8), card("NAXIS", 0)]
    if not any(_data_bytes(lines) for lines in headers):
        image = [card("XTENSION", "IMAGE"), card("BITPIX", 16), card("NAXIS", 2)]
        image += [card("NAXIS1", 10), card("NAXIS2", 10), card("PCOUNT", 0), card("GCOUNT", 1)]
        headers.append(image)
    return headers
