"""Every path on disk, and the one way to join a path that came from outside."""

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
        folders = [self.data, self.job_logs, self.main_log.parent, self.cache, self.run]
        if self.raw.is_relative_to(self.instance):
            folders.append(self.raw)
        for folder in [*folders, self.tmp_results]:
            folder.mkdir(parents=True, exist_ok=True)

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
        if path.is_relative_to(self.raw):
            return f"{RAW_PREFIX}/{path.relative_to(self.raw)}".rstrip("/.")
        return str(path.relative_to(self.data))


def safe_join(root: Path, untrusted: str) -> Path:
    """Join a path from outside to `root`; whatever would leave it does not exist."""
    if "\0" in untrusted or len(untrusted) > 4096:
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
