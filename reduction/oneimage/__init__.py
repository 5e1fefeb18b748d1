"""One image by itself, in steps: looked over, measured, stacked, repaired."""
