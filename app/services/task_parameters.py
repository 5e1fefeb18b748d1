"""The names a task's configuration may hold with a meaning, and a word on those without."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

_STACK: Final = "stack_filenames stack_method stack_subtract_bg stack_mask_cosmics"
_INSPECT: Final = "target time gain saturation filter mask_cosmics cat_name cat_limit template"
_PHOTOMETRY: Final = (
    "sn initial_aper initial_r0 minarea bg_size fwhm_override prefilter_detections rel_aper "
    "rel_bg1 rel_bg2 optimal_extraction centroid_targets spatial_order bg_order use_color "
    "force_color_term nonlin cat_mag_lower cat_mag_upper filter_blends sr_override refine_wcs "
    "refine_order blind_match_wcs blind_match_center blind_match_sr0 blind_match_ps_lo "
    "blind_match_ps_up cutout_size diagnose_color inspect_bg timing"
)
# Of steps that come later: clients keep them in their configurations already.
_TRANSIENTS: Final = (
    "simple_center simple_sr0 simple_mag_diff simple_prefilter simple_blends simple_skybot "
    "simple_others template_fwhm_override custom_template_gain custom_template_saturation "
    "subtraction_mode subtraction_method sub_size sub_overlap sub_verbose hotpants_extra "
    "sfft_kernel_poly_order sfft_bg_poly_order sfft_flux_poly_order filter_center filter_sr0 "
    "filter_prefilter filter_adjust filter_vizier filter_skybot"
)
_FOUND: Final = (  # what steps put there themselves
    "targets target_ra target_dec fwhm pixscale mag_limit zp zp_err color_term aper_correction "
    "field_ra field_dec field_sr cat_col_mag cat_col_mag_err cat_col_color_mag1 cat_col_color_mag2"
)
PARAMETERS: Final = frozenset(" ".join((_STACK, _INSPECT, _PHOTOMETRY, _TRANSIENTS)).split())
KNOWN: Final = PARAMETERS | frozenset(_FOUND.split())
_MOST_TOLD: Final = 10
_LONGEST: Final = 60  # characters of a name that are repeated


def unknown(config: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each name that no step looks at; such values are kept as they are."""
    names = [str(name) for name in config if name not in KNOWN]
    said = [_sentence(name) for name in names[:_MOST_TOLD]]
    left = len(names) - len(said)
    return [*said, f"config: {left} more names are known to no step."] if left else said


def _sentence(name: str) -> str:
    near = get_close_matches(name, PARAMETERS, n=1)
    meant = f" Is {near[0]} meant?" if near else ""
    return f"config: no step knows {name[:_LONGEST]!r}: it is kept, and changes nothing.{meant}"
