"""Volumes in files: MRC, TIFF and OME-Zarr, opened lazily and written."""
