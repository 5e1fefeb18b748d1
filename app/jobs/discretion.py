"""What a master tells of the frames it was made of: it is everyone's, and they may not be.

Where a site shows frames to the people of their proposal only, a master names those of proposals
by their numbers, and does not say where the telescope pointed, for whom or who observed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.jobs.pixels import Opened
from app.models import Frame
from app.services.settings import Snapshot
from reduction.exposure import LeftOut, Master
from reduction.frameinfo import FrameInfo

# Of one face's values, those that tell of the target and the programme.
_TELLING: Final = frozenset(
    {"obsra", "obsdec", "observation_id", "configuration_id", "block_id", "image_id"}
)


@dataclass(frozen=True, slots=True)
class Discretion:
    """The frames a master must not name: what it says instead, by frame id and by name."""

    numbers: Mapping[int, str]
    names: Mapping[str, str]

    @classmethod
    def of(cls, members: Iterable[Frame], opened: Opened, at: Snapshot) -> "Discretion":
        """Return what the master of these members must be silent about."""
        if at.text("access.visibility") != "members":
            return cls({}, {})
        private = [frame for frame in members if frame.proposal_id is not None]
        numbers = {frame.id: f"frame {frame.id}" for frame in private}
        names = {frame.file_name: numbers[frame.id] for frame in private}
        known = opened.exposures
        return cls(numbers, names | {known[n].name: w for n, w in numbers.items() if n in known})

    def path(self, frame: Frame) -> str:
        """Return where a frame lies, or its number."""
        return self.numbers.get(frame.id, frame.path)

    def info(self, frame: Frame, info: FrameInfo) -> FrameInfo:
        """Return what a frame's header says, without what is its proposal's."""
        if frame.id not in self.numbers:
            return info
        return replace(
            info,
            object_name=None,
            ra_deg=None,
            dec_deg=None,
            position_role=None,
            proposal_code=None,
            observer=None,
            kind_doubt=None,
        )

    def master(self, master: Master) -> Master:
        """Return a master whose words name no frame they must not."""
        return replace(
            master,
            left_out=[
                LeftOut(self._worded(left.name), self._worded(left.reason))
                for left in master.left_out
            ],
            notes=[self._worded(note) for note in master.notes],
        )

    def settle(self, frame: Frame) -> None:
        """Take from the row of a master what it has of such a frame."""
        if self.numbers:
            frame.observer = None
            frame.extras = {k: v for k, v in frame.extras.items() if k not in _TELLING}

    def _worded(self, text: str) -> str:
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
        return text
