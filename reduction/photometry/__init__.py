"""From calibrated pixels to sources, their fluxes and the magnitude of a count."""
