"""Every path on disk, and the one way to join a path that came from outside."""

import os
from dataclasses import dataclass
from pathlib import Path

from app import config
from app.errors import NotFoundError

RAW_PREFIX = "RAW"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things lie. The data root is what ``/media/`` serves; RAW appears there as RAW/."""

    instance: Path
    raw: Path

    @classmethod
    def of(cls, settings: config.Config) -> "Paths":
        """Return the paths of a configuration."""
        return cls(instance=settings.instance, raw=settings.raw)

    @property
    def data(self) -> Path:
        """The data root: masters, reduced frames, thumbnails, results."""
        return self.instance / "data"

    @property
    def job_logs(self) -> Path:
        """One log file a job."""
        return self.data / "LOGS"

    @property
    def main_log(self) -> Path:
        """The log every process writes to."""
        return self.instance / "logs" / "coelostat.log"

    @property
    def catalogues(self) -> Path:
        """Reference catalogues, a folder each."""
        return self.data / "CATALOGUES"

    @property
    def tasks(self) -> Path:
        """Images processed in steps, a folder each; not below the data root, for whose they are."""
        return self.instance / "tasks"

    @property
    def cache(self) -> Path:
        """What can be made again: compiled kernels, preview tiles."""
        return self.instance / "cache"

    @property
    def run(self) -> Path:
        """Sockets, locks and heartbeats of the running processes."""
        return self.instance / "run"

    @property
    def tmp_results(self) -> Path:
        """Results of SELECTs and other short-lived files."""
        return self.data / "TMP"

    def make(self) -> None:
        """Make every folder that is ours; RAW is made only where it is inside the instance."""
        folders = [self.data, self.job_logs, self.main_log.parent, self.cache, self.run, self.tasks]
        if self.raw.is_relative_to(self.instance):
            folders.append(self.raw)
        for folder in [*folders, self.tmp_results]:
            folder.mkdir(parents=True, exist_ok=True)

    def raw_trouble(self) -> str:
        """Return a sentence where RAW is not there, else nothing."""
        if self.raw.is_dir():
            return ""
        return f"The RAW folder {self.raw} is not there. Is its disk mounted?"

    def locate(self, relative: str) -> Path:
        """Return the file behind a path relative to the data root, ``RAW/...`` included.

        Raises
        ------
        NotFoundError
            If the path would leave the data root or RAW, by ``..`` or by a link.
        """
        head, _, rest = relative.strip("/").partition("/")
        if head == RAW_PREFIX:
            return safe_join(self.raw, rest)
        return safe_join(self.data, relative)

    def relative(self, path: Path) -> str:
        """Return `path` as answers give it: relative to the data root, ``RAW/...`` for RAW."""
        for root, prefix in ((self.raw, RAW_PREFIX), (self.data, ""), (self.data.resolve(), "")):
            if path.is_relative_to(root):
                return (Path(prefix) / path.relative_to(root)).as_posix()
        raise ValueError(f"{path} is outside the data root and RAW")


def safe_join(root: Path, untrusted: str) -> Path:
    """Join a path from outside to `root`; whatever would leave it does not exist."""
    parts = untrusted.split("/")
    if "\0" in untrusted or len(untrusted) > 4096 or any(len(os.fsencode(p)) > 255 for p in parts):
        raise NotFoundError("no such path")
    base = root.resolve()
    try:
        path = (base / untrusted.lstrip("/")).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise NotFoundError("no such path") from error
    if path != base and base not in path.parents:
        raise NotFoundError("no such path")
    return path


def current() -> Paths:
    """Return the paths of the running application."""
    return Paths.of(config.current())
