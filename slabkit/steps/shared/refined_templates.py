"""What templates found, judged again in three dimensions: `pick template --refine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slabkit.steps.shared.maps import MapFile, RotatedMaps
from slabkit.units import Contrast, TiltRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.picking.template import Templates
    from slabkit.tomogram import Tomogram

SCORE_KIND = "template-3d"
DEFAULT_THRESHOLD = 4.0
"""Six tenths of the way from random places to a map's best picks; most false ones are below."""

_REACH = 0.5  # of the larger diameter: picks nearer than this are of one particle


class Refiner:
    """Compares picks with maps, in the order of the templates, the last of them ``decoys``."""

    def __init__(
        self,
        maps: list[MapFile],
        decoys: int,
        *,
        tilt_range: TiltRange,
        view_step: float,
        contrast: Contrast | None,
        min_distance: float | None,
        jobs: int,
    ) -> None:
        self._maps = RotatedMaps(maps, tilt_range)
        self._decoys = decoys
        self._view_step, self._contrast = view_step, contrast
        self._min_distance, self._jobs = min_distance, jobs

    def opened(self, slabs: pd.DataFrame) -> Tomogram:
        """Open the tomogram of slabs, and make the maps ready for it."""
        from slabkit.formats.tomograms.listing import slab_tomograms

        contrast = _volume_contrast(slabs, self._contrast)
        (ref,) = slab_tomograms(slabs, contrast=contrast).values()
        tomogram = ref.open()
        self._maps.at(tomogram.voxel_size)
        return tomogram

    def refined(
        self,
        picks2d: pd.DataFrame,
        slabs: pd.DataFrame,
        tomogram: Tomogram,
        templates: Sequence[Templates],
    ) -> pd.DataFrame:
        """Give one pick a place, with the species, score, angle and place of the best fit in 3D.

        ``picks2d`` and ``slabs`` are of one tomogram.
        """
        import numpy as np
        import pandas as pd

        from slabkit.arrays.neighbours import group_neighbours
        from slabkit.learning.map_naming import score_by_maps
        from slabkit.mapping import map_picks
        from slabkit.tables import PICKS2D, ROTATION, rotation_text

        found, _ = map_picks(
            picks2d, slabs, tomogram, all_species=True, contrast=tomogram.contrast, jobs=self._jobs
        )
        axes = ["slabkitX", "slabkitY", "slabkitZ"]
        scored = score_by_maps(
            tomogram,
            found[axes].to_numpy(),
            self._maps.at(tomogram.voxel_size),
            decoys=self._decoys,
            jobs=self._jobs,
        )
        diameter = np.array([one.diameter for one in templates])[scored.best]
        reach = _REACH * diameter
        if self._min_distance is not None:
            reach = np.full(len(found), self._min_distance)
        inside = np.flatnonzero(np.isfinite(scored.score))
        first = group_neighbours(scored.place[inside], reach[inside], scored.score[inside])
        rows = inside[first == np.arange(len(inside))]
        rows = rows[scored.best[rows] < len(templates) - self._decoys]
        best = scored.best[rows]
        numbers = np.cumsum([0, *(int(one.numbers.max()) for one in templates[:-1])])[best]
        view, psi = _nearest_views(scored.rotation[rows], self._view_step)
        size = slabs[["slabkitTomogramSizeX", "slabkitTomogramSizeY"]].iloc[0].to_numpy(dtype=int)
        place = (scored.place[rows, :2] / tomogram.voxel_size).clip(0, size - 1)
        depth = (tomogram.shape[0] - 1) * tomogram.voxel_size
        table = pd.DataFrame(
            {
                "rlnMicrographName": found["rlnMicrographName"].to_numpy()[rows],
                "rlnCoordinateX": place[:, 0],
                "rlnCoordinateY": place[:, 1],
                "rlnAutopickFigureOfMerit": scored.score[rows],
                "rlnAnglePsi": psi,
                "rlnClassNumber": numbers + view + 1,
                "slabkitDiameter": diameter[rows],
                "slabkitScoreKind": SCORE_KIND,
                "slabkitSpecies": np.array([one.species for one in templates], dtype=object)[best],
                "slabkitZ": scored.place[rows, 2].clip(0, depth),
                ROTATION: [rotation_text(one) for one in scored.rotation[rows].round(6)],
            }
        )
        order = {name: number for number, name in enumerate(slabs["rlnMicrographName"])}
        table["_slab"] = table["rlnMicrographName"].map(order)
        table = table.sort_values(
            ["_slab", "rlnAutopickFigureOfMerit", "rlnCoordinateY", "rlnCoordinateX"],
            ascending=[True, False, True, True],
            kind="stable",
            ignore_index=True,
        )
        return table[[*PICKS2D.names, "slabkitZ", ROTATION]]


def _volume_contrast(slabs: pd.DataFrame, slab_contrast: Contrast | None) -> Contrast:
    """Give the contrast of the tomogram whose slabs have one that may be overridden."""
    row = slabs.iloc[0]
    known: Contrast = row["slabkitTomogramContrast"]
    if slab_contrast in (None, row["slabkitContrast"]):
        return known
    return "bright" if known == "dark" else "dark"


def _nearest_views(
    rotation: npt.NDArray[np.float64], step: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Give for orientations (n, 3, 3) the nearest view, from 0, and its angle in the plane."""
    import numpy as np

    from slabkit.arrays.density_maps import view_directions, view_matrix

    views = np.array([view_matrix(rot, tilt) for rot, tilt in view_directions(step)])
    # A view is seen along z: the third row says in which direction of the map that is.
    near = np.einsum("nj,vj->nv", rotation[:, 2], views[:, 2]).argmax(axis=1)
    turn = np.einsum("nij,nkj->nik", rotation, views[near])
    psi = np.degrees(np.arctan2(turn[:, 0, 1] - turn[:, 1, 0], turn[:, 0, 0] + turn[:, 1, 1]))
    psi = np.where(psi <= -180, psi + 360, psi)
    return near, np.round(psi, 3) + 0.0
