"""How each frame of a science block is reduced: as the site does, or as its proposal wants."""

from dataclasses import asdict, dataclass, replace
from typing import Final

from app.models import Frame
from app.services import proposal_reduction
from app.services.proposal_reduction import DEFAULT, Rules
from reduction import recipes
from reduction.exposure import Calibrated, Exposure
from reduction.recipes import CalibrateParams, CosmicRayParams

RECIPE: Final = "calibrate"


@dataclass(frozen=True, slots=True)
class Way:
    """How one frame is reduced."""

    params: CalibrateParams
    rules: Rules
    proposal: str

    @property
    def recipe_hash(self) -> str:
        """What the result hangs on besides its inputs, the settings of the proposal included."""
        if not self.rules.are_set:
            return recipes.recipe_hash(RECIPE, self.params)
        return recipes.recipe_hash(
            RECIPE, {"params": asdict(self.params), "proposal": self.rules.as_stored}
        )

    def seen(self, exposure: Exposure) -> Exposure:
        """Return an exposure as what its proposal says it is, whatever its header says."""
        if self.rules.technique == DEFAULT:
            return exposure
        return replace(exposure, info=replace(exposure.info, technique=self.rules.technique))

    def judged(self, result: Calibrated) -> Calibrated:
        """Return a result with a note where more of it is saturated than its proposal allows."""
        most = self.rules.saturation_threshold
        percent = 100 * result.counts.get("saturated", 0) / result.image.data.size
        if most is None or percent <= most:
            return result
        note = (
            f"{percent:.3g} % of its pixels are saturated, more than the {most:g} % "
            f"that proposal {self.proposal} wants"
        )
        return replace(result, notes=[*result.notes, note])


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a job and the site say, from which each frame's way follows.

    `may_search` tells whether the job was asked for masks of cosmic rays, `searches` whether the
    site looks for them where the proposal does not say.
    """

    params: CalibrateParams
    may_search: bool
    searches: bool

    def of(self, raw: Frame) -> Way:
        """Return how a frame is to be reduced."""
        rules = proposal_reduction.rules_of(raw)
        wanted = {DEFAULT: self.searches, "lacosmic": True}.get(rules.cosmic_ray_method, False)
        rays = CosmicRayParams() if self.may_search and wanted else None
        code = raw.proposal.code if raw.proposal else ""
        return Way(replace(self.params, cosmic_rays=rays), rules, code)
