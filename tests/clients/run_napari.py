"""Open files in napari by slabkit's plug-in, without a window, and say what its layers are.

Arguments: the plug-in's manifest, then the files.
"""

import json
import sys

import numpy as np
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

manifest = PluginManifest.from_file(sys.argv[1])
manifest.validate_imports()
PluginManager.instance().register(manifest)
viewer = ViewerModel()
for path in sys.argv[2:]:
    viewer.open(path, plugin=manifest.name)
said = []
for layer in viewer.layers:
    extent = layer.extent.world
    about = {
        "name": layer.name,
        "kind": type(layer).__name__,
        "units": [str(unit) for unit in layer.units],
        "extent": extent.tolist(),
        "visible": layer.visible,
    }
    if about["kind"] == "Image":
        about |= {"contrast": layer.contrast_limits, "lazy": type(layer.data).__name__}
        z, y, x = np.unravel_index(
            np.argmax(np.asarray(layer.data)), layer.data.shape
        )  # the brightest voxel, and where it is in the world
        about["brightest"] = np.asarray(layer.data_to_world((z, y, x))).tolist()
        viewer.dims.set_point(0, about["brightest"][0])
        about["shown"] = float(np.max(layer._slice.image.raw))
    else:
        about |= {
            "places": np.asarray([layer.data_to_world(one) for one in layer.data]).tolist(),
            "size": (layer.size * layer.scale[0]).tolist(),
            "in_slice": [],
            "symbols": [str(one) for one in layer.symbol],
            "ids": layer.features["pick_id"].tolist(),
            "colour": layer.border_color[0].tolist(),
        }
        for away in (0, -40, -60):  # Å from the first pick
            viewer.dims.set_point(0, about["places"][0][0] + away)
            about["in_slice"].append(0 in layer._view_indices)
    said.append(about)
print(json.dumps(said))
