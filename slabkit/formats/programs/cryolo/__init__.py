"""crYOLO: boxes in micrographs and tomograms."""
