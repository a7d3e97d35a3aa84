"""The whole loop from Python: arrays, tables, no files."""

import slabkit

tomogram, truth = slabkit.simulate_tomogram("demo", preset="small", seed=3)
images, slabs = slabkit.project_slabs(tomogram, thickness=300, step=150)
picks2d = slabkit.pick_blobs(images, slabs, diameter=(100, 350))
picks, counts = slabkit.map_picks(picks2d, slabs, tomogram)
minislabs = slabkit.stack_minislabs(tomogram, picks, box=400, depth=300)
best = picks.nlargest(40, "slabkitScore")
score = slabkit.score_picks(best, truth)

print(f"{len(picks2d)} hits on {len(slabs)} slabs, {len(picks)} picks, {minislabs.images.shape}")
print(score.table.to_string())
