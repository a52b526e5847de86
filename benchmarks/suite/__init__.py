"""nearfield against its own past: an asv suite. See ../README.md for how to run and read it."""
