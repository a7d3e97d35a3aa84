"""Other programs' readings of pick files, as JSON: positions in voxels and rotation matrices."""

import json
import sys
from pathlib import Path

import numpy as np


def cryocat(folder: Path) -> dict[str, dict[str, object]]:
    from cryocat.core.cryomotl import DynamoMotl, EmMotl, StopgapMotl

    kinds = {"m.star": StopgapMotl, "m.em": EmMotl, "m.tbl": DynamoMotl}
    found: dict[str, dict[str, object]] = {}
    for name, kind in kinds.items():
        motl = kind(str(folder / name))
        places, turned = motl.get_coordinates(), motl.get_rotations().as_matrix()
        found[name] = {"places": places.tolist(), "matrices": turned.tolist()}
        motl.write_out(str(folder / f"theirs_{name}"))
    return found


def converters(folder: Path) -> dict[str, dict[str, object]]:
    import emfile
    import imodmodel
    from eulerangles import convert_eulers, euler2matrix

    angles = np.array(json.loads((folder / "angles.json").read_text()))
    relion = convert_eulers(angles, source_meta="dynamo", target_meta="relion")
    # Of phi, theta, psi of a motive list, as rotations of the particle in the order phi first.
    motl = euler2matrix(angles, axes="zxz", intrinsic=False, right_handed_rotation=True)
    places = imodmodel.read(folder / "m.mod")[["x", "y", "z"]].to_numpy()
    table = emfile.read(folder / "m.em")[1][0]
    imodmodel.write(imodmodel.read(folder / "m.mod"), folder / "theirs.mod")
    emfile.write(folder / "theirs.em", table[None].astype(np.float32))
    emfile.write(folder / "volume.em", np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    return {
        "relion": {"angles": relion.tolist()},
        "motl": {"matrices": motl.tolist()},
        "m.mod": {"places": places.tolist()},
        "m.em": {"places": (table[:, 7:10] + table[:, 10:13]).tolist()},
    }


program, folder = sys.argv[1:]
found = {"cryocat": cryocat, "converters": converters}[program](Path(folder))
print(json.dumps(found))
