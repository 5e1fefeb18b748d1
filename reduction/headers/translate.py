"""From the headers of a file to what its exposures are."""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from typing import Any

from reduction.camera import CameraProfile, Observatory
from reduction.cards import Cards, FileHeaders, HduHeader
from reduction.errors import BadFileError
from reduction.frameinfo import FrameInfo, FrameKind, Origin
from reduction.headers import readers
from reduction.headers.amplifiers import put_amplifiers
from reduction.headers.common_part import common_part
from reduction.headers.draft import Draft
from reduction.headers.kinds import set_kind
from reduction.headers.places import read_position, read_site
from reduction.headers.product import is_product, translate_product
from reduction.headers.profiles import apply_profile, matching_profile
from reduction.headers.sections import Geometry, mosaic
from reduction.headers.times import read_night, read_times
from reduction.headers.writer import Writer
from reduction.remembered import remembered

# Planes that belong to an image and are none of their own.
_AUXILIARY = frozenset(
    {"UNCERT", "UNCERTAINTY", "ERR", "ERROR", "SIGMA", "VAR", "VARIANCE", "IVAR", "WEIGHT", "WHT"}
    | {"MASK", "DQ", "FLAGS", "BPM", "QUALITY", "PSFIMAGE"}
)


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
    context = _Context(file.hdus[0], file_name, profiles, site, now or datetime.now(UTC))
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


class _Context:
    """What is the same for all exposures of a file."""

    def __init__(
        self,
        primary: HduHeader,
        file_name: str,
        profiles: Sequence[CameraProfile],
        site: Observatory | None,
        now: datetime,
    ) -> None:
        self.primary = primary
        self.file_name = file_name
        self.profiles = profiles
        self.site = site
        self.now = now

    def translate(self, hdu: HduHeader, detector: Geometry | None) -> FrameInfo:
        """Translate one exposure: that of `hdu`, or of a detector that begins with it."""
        cards = self._cards(hdu)
        common = common_part(hdu, cards, self.file_name, detector)
        draft = Draft(cards, self.file_name)
        draft.values, draft.origins = dict(common.values), dict(common.origins)
        self._place(draft, common.writer)
        if common.writer.last is not None:
            common.writer.last(draft)
        profile = self._profile(draft)
        if profile is not None:
            apply_profile(draft, profile)
        if common.unusable is not None:
            _make_unusable(draft, common.unusable)
        if profile is not None or not common.is_whole:
            put_amplifiers(draft, common.geometry)
        return FrameInfo(**draft.values, origins=draft.origins)

    def _cards(self, hdu: HduHeader) -> Cards:
        if hdu.index == 0 or hdu.cards.get("INHERIT") is False:
            return hdu.cards
        return hdu.cards.inheriting(self.primary.cards)

    def _place(self, draft: Draft, writer: Writer) -> None:
        _put_remembered(
            draft, ("temperature", writer), lambda own: readers.read_temperature(own, writer)
        )
        readers.read_airmass(draft)
        profile = self._profile(draft)
        profile_site = profile.site if profile else None
        over, west = profile_site is not None, writer.west
        site = profile_site or self.site
        _put_remembered(
            draft,
            ("site", site, over, west),
            lambda own: read_site(own, site, over=over, west=west),
        )
        read_times(draft, self.now)
        read_night(draft)
        read_position(draft, writer.positions)
        readers.read_scale(draft)

    def _profile(self, draft: Draft) -> CameraProfile | None:
        if not self.profiles:
            return None
        telescope = draft.cards.text("TELESCOP").strip()
        return matching_profile(self.profiles, draft.values["instrument"], telescope)


def _put_remembered(draft: Draft, purpose: Hashable, read: Callable[[Draft], None]) -> None:
    """Let a reader that needs nothing but the cards add to a draft, from memory where it can."""

    def part(cards: Cards) -> tuple[dict[str, Any], dict[str, Origin]]:
        own = Draft(cards, draft.file_name)
        read(own)
        return own.values, own.origins

    values, origins = remembered(draft.cards, purpose, part)
    draft.values |= values
    draft.origins |= origins


def _make_unusable(draft: Draft, reason: str) -> None:
    draft.put("unusable", reason, "NAXIS", "its axes")
    if "colour" in reason:
        set_kind(draft, FrameKind.UNKNOWN, "NAXIS", "its axes", reason)
    elif not draft.get("level"):
        draft.put("level", 3, "NAXIS", "a spectrum without its second dimension")
