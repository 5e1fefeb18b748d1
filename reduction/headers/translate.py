"""From the headers of a file to what its exposures are."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from reduction.camera import CameraProfile, Observatory
from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo, FrameKind, Note, Origins
from reduction.headers import readers
from reduction.headers.amplifiers import put_amplifiers
from reduction.headers.common_part import CommonPart, common_part
from reduction.headers.draft import Draft
from reduction.headers.kinds import name_says, set_kind
from reduction.headers.places import has_wcs, read_position, read_site
from reduction.headers.product import is_product, translate_product
from reduction.headers.profiles import apply_profile, matching_profile
from reduction.headers.sections import Geometry, mosaic
from reduction.headers.times import read_night, read_times
from reduction.headers.usual import Temperature, Usual, usual
from reduction.headers.writer import Writer
from reduction.remembered import remembered

# Planes that belong to an image and are none of their own.
_AUXILIARY = frozenset(
    {"UNCERT", "UNCERTAINTY", "ERR", "ERROR", "SIGMA", "VAR", "VARIANCE", "IVAR", "WEIGHT", "WHT"}
    | {"MASK", "DQ", "FLAGS", "BPM", "QUALITY", "PSFIMAGE"}
)

_N_RECENT: Final = 4
_MOST_TRIES: Final = 8  # frames of a kind tried before their form counts as unusual


def translate(
    file: FileHeaders,
    *,
    file_name: str,
    profiles: Sequence[CameraProfile] = (),
    site: Observatory | None = None,
    now: datetime | None = None,
) -> list[FrameInfo]:
    """Translate the headers of a file.

    The writer is named first, then its rules and those of all are applied, then the camera
    profile; what cannot be known is left unsaid or doubted.

    Parameters
    ----------
    file : FileHeaders
        As `reduction.fitsio.read_headers` returns them.
    file_name : str
        Without its folder; a hint, and what the profiles' file-name rules match.
    profiles : sequence of CameraProfile
        The first that matches instrument and telescope counts.
    site : Observatory or None
        Where a camera stands whose header and profile do not say.
    now : datetime or None
        Aware; frames from later are doubted. None is the clock.

    Returns
    -------
    list of FrameInfo
        One an exposure, in the order of their HDUs; the amplifiers of one detector are one.

    Raises
    ------
    BadFileError
        ``no_image`` where no HDU holds an image.
    """
    if is_product(file):
        return [translate_product(file)]
    own = _images(file, file_name)
    where = wheres.of(profiles, site)
    context = _Context(file.hdus[0], file_name, where, now or datetime.now(UTC))
    detector = mosaic(own) if all(_has_detector_section(hdu) for hdu in own) else None
    if detector is not None:
        return [context.translate(own[0], detector)]
    return [context.translate(hdu, _detector_of(hdu)) for hdu in own]


def _images(file: FileHeaders, file_name: str) -> list[HduHeader]:
    """Return the HDUs that hold exposures."""
    images = [hdu for hdu in file.hdus if hdu.shape]
    if not images:
        raise BadFileError("no_image", f"{file_name} holds no image.")
    if len(images) == 1:
        return images
    named = [(hdu, hdu.cards.text("EXTNAME").strip().upper()) for hdu in images]
    return [hdu for hdu, name in named if name not in _AUXILIARY] or images


def _has_detector_section(hdu: HduHeader) -> bool:
    return "DETSEC" in hdu.cards or "DETSECA" in hdu.cards


def _detector_of(hdu: HduHeader) -> Geometry | None:
    """Return the geometry of one detector whose HDU holds several amplifiers."""
    return mosaic([hdu]) if "DETSECA" in hdu.cards and "DETSECB" in hdu.cards else None


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """What the site says of its cameras and of itself: the same object for the same words."""

    profiles: tuple[CameraProfile, ...]
    site: Observatory | None

    def profile(self, draft: Draft) -> CameraProfile | None:
        """Return the profile that speaks of a frame's camera, None where none does."""
        if not self.profiles:
            return None
        telescope = draft.cards.text("TELESCOP").strip()
        return matching_profile(self.profiles, draft.values["instrument"], telescope)


class Wheres:
    """The site's words met last: a scan comes with the same for each of its files."""

    __slots__ = ("recent",)

    def __init__(self) -> None:
        self.recent: tuple[Where, ...] = ()  # replaced, never changed, for threads

    def of(self, profiles: Sequence[CameraProfile], site: Observatory | None) -> Where:
        """Return these words."""
        told = tuple(profiles), site
        for known in self.recent:
            if (known.profiles, known.site) == told:
                return known
        made = Where(*told)
        self.recent = (made, *self.recent[: _N_RECENT - 1])
        return made


wheres: Final = Wheres()


@dataclass(slots=True)
class _Steady:
    """What is the same for all frames of a camera that say the same but for time and place.

    `is_all` says that nothing else is to be put over what follows; `usual`, made of the second
    such frame, how they tell the rest.
    """

    common: CommonPart
    values: Mapping[str, Any]
    notes: Mapping[str, Note]
    is_all: bool
    n_read: int = 0
    usual: Usual | None = None

    def note(self, draft: Draft) -> None:
        """Learn from a frame that has been read by all rules."""
        self.n_read += 1
        if self.is_all and draft.cards.alone and 1 < self.n_read < _MOST_TRIES:
            told = partial(_remembered_temperature, writer=self.common.writer)
            self.usual = usual(draft, self.values, self.common.writer, told)


class _Context:
    """What is the same for all exposures of a file."""

    def __init__(self, primary: HduHeader, file_name: str, where: Where, now: datetime) -> None:
        self.primary = primary
        self.file_name = file_name
        self.where = where
        self.now = now

    def translate(self, hdu: HduHeader, detector: Geometry | None) -> FrameInfo:
        """Translate one exposure: that of `hdu`, or of a detector that begins with it."""
        cards = self._cards(hdu)
        steady = self._steady(hdu, cards, detector)
        if steady.usual is not None and (info := steady.usual.read(cards, self.now)) is not None:
            return info
        draft = Draft(cards, self.file_name, steady.values, steady.notes)
        _put_moving(draft, steady.common.writer, self.now)
        if not steady.is_all:
            self._put_last(draft, steady.common)
        steady.note(draft)
        draft.values["origins"] = Origins(cards.raw, draft.notes)
        return FrameInfo.of(draft.values)

    def _cards(self, hdu: HduHeader) -> Cards:
        if hdu.index == 0 or hdu.cards.get("INHERIT") is False:
            return hdu.cards
        return hdu.cards.inheriting(self.primary.cards)

    def _steady(self, hdu: HduHeader, cards: Cards, detector: Geometry | None) -> _Steady:
        if detector is not None:
            return self._read_steady(hdu, cards, detector)
        told = purpose(hdu.index, hdu.shape, name_says(self.file_name), self.where)
        return remembered(cards, told, lambda watched: self._read_steady(hdu, watched, None))

    def _read_steady(self, hdu: HduHeader, cards: Cards, detector: Geometry | None) -> _Steady:
        common = common_part(hdu, cards, self.file_name, detector)
        draft = Draft(cards, self.file_name, common.values, common.notes)
        profile = self.where.profile(draft)
        over = profile.site if profile is not None else None
        west = common.writer.west
        read_site(draft, over or self.where.site, over=over is not None, west=west)
        if not has_wcs(cards):
            readers.read_scale(draft)
        plain = common.is_whole and common.writer.last is None and common.unusable is None
        return _Steady(common, draft.values, draft.notes, plain and profile is None)

    def _put_last(self, draft: Draft, common: CommonPart) -> None:
        """Put what comes over everything else: the writer's own rule, then the profile."""
        if common.writer.last is not None:
            common.writer.last(draft)
        profile = self.where.profile(draft)
        if profile is not None:
            apply_profile(draft, profile)
        if common.unusable is not None:
            _make_unusable(draft, common.unusable)
        if profile is not None or not common.is_whole:
            put_amplifiers(draft, common.geometry)


def purpose(index: int, shape: tuple[int, ...], said: str | None, where: Where) -> Hashable:
    """Return what, besides the cards, that depends on which is the same for many frames."""
    return "steady", index, shape, said, where


def _put_moving(draft: Draft, writer: Writer, now: datetime) -> None:
    """Put temperature, airmass, time and position: what every frame has its own of."""
    values, notes = _remembered_temperature(draft.cards, writer)
    draft.values |= values
    draft.notes |= notes
    readers.read_airmass(draft)
    read_times(draft, now)
    read_night(draft)
    read_position(draft, writer.positions)
    if has_wcs(draft.cards):  # no two are the same
        readers.read_scale(draft)


def _remembered_temperature(cards: Cards, writer: Writer) -> Temperature:
    return remembered(cards, ("temperature", writer), lambda watched: _temperature(watched, writer))


def _temperature(cards: Cards, writer: Writer) -> Temperature:
    own = Draft(cards, "")
    readers.read_temperature(own, writer)
    return own.values, own.notes


def _make_unusable(draft: Draft, reason: str) -> None:
    draft.put("unusable", reason, "NAXIS", "its axes")
    if "colour" in reason:
        set_kind(draft, FrameKind.UNKNOWN, "NAXIS", "its axes", reason)
    elif not draft.get("level"):
        draft.put("level", 3, "NAXIS", "a spectrum without its second dimension")
