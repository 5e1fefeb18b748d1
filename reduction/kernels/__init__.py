"""The compiled inner loops, one file a family; arrays in, arrays out, nothing else."""
