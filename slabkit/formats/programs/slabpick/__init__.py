"""slabpick: pick lists and whole projects."""
