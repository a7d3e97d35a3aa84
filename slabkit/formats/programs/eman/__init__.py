"""EMAN: boxes in micrographs and tomograms."""
