"""Side-by-side timings of this program, its peers and the floors the machine sets."""
