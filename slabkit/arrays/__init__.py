"""Arrays in, arrays out: no paths, no tables, no files."""
