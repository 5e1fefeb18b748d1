"""Sending a file: conditional and range requests, a content type that cannot run as a page."""

from pathlib import Path
from stat import S_ISREG
from typing import Final

from flask import Response, send_file

from app.errors import NotFoundError

BYTES: Final = "application/octet-stream"
_TYPES: Final = {
    ".fits": "application/fits",
    ".fit": "application/fits",
    ".fts": "application/fits",
    ".fz": "application/fits",
    ".gz": "application/gzip",
    ".csv": "text/csv",
    ".dat": "text/plain",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".toml": "text/plain",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}


def content_type(path: Path) -> str:
    """Return the type a file is sent as; what a browser would run goes as mere bytes."""
    return _TYPES.get(path.suffix.lower(), BYTES)


def send(path: Path, *, download_name: str | None = None, as_attachment: bool = False) -> Response:
    """Send one file, the part of it that was asked for, or word that it has not changed.

    Raises
    ------
    NotFoundError
        If it is no file, is hidden or cannot be read. Folders are never listed.
    """
    kind = content_type(path)
    try:
        stat = path.stat()
        if path.name.startswith(".") or not S_ISREG(stat.st_mode):
            raise NotFoundError("no such file")
        response = send_file(
            path,
            mimetype=kind,
            as_attachment=as_attachment or kind == BYTES,
            download_name=download_name or path.name,
            conditional=True,
            etag=f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}",
            last_modified=stat.st_mtime,
            max_age=0,
        )
    except OSError as error:  # gone, unreadable, or a name no file can have
        raise NotFoundError("no such file") from error
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.private = True
    return response
