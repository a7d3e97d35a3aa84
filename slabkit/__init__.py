"""slabkit: pick particles in cryo-electron tomograms with 2D tools, exactly."""

__version__ = "0.1.0"
