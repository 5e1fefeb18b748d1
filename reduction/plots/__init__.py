"""Pictures of numbers: plots of what was measured on a frame."""
