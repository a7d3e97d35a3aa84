"""Which tomograms are meant: files, folders, tables and projects of other programs."""
