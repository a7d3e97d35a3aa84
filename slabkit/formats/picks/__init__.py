"""Pick lists of every format, read and written."""
