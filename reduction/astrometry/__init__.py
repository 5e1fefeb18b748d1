"""From positions on a frame to positions on the sky, with the proof that they are right."""
