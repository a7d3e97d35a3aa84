"""Weighted F4 of named lists: by maps, by labels, by labels in three rounds, of another picker.

    python benchmarks/names.py --road maps --test DIR --map ribosome=6qzp.mrc ... --out OUT
    python benchmarks/names.py --road labels --train DIR --test DIR --map ... --out OUT
    python benchmarks/names.py --road rounds --train DIR --test DIR --budget 600 --out OUT
    python benchmarks/names.py --road list --test DIR --map ... [--train DIR] --out OUT
    python benchmarks/names.py --road refined --test DIR --map ... --out OUT

Folders hold volumes and `truth.csv` (tomogram, species, x, y, z in Å, 0 = centre of the corner
voxel). The commands are those that a user would type, and are printed; OUT/curated.star is the
named list of the test tomograms. Labels are what somebody says who is always right, as a CSV
`pick_id,decision,species` that `slabkit label` reads: of all picks of the training tomograms, or of
`--budget` of them (road `labels`: at random; `rounds`: in three parts, as `slabkit suggest` says).
Road `list` takes what `pick template` finds and calls what it is at its default threshold, which is
low, and names it again: by maps, or with `--train` by labels. Its score comes first. Road `refined`
is `pick template --refine`.
A truth without rows for a species that a map is given of leaves it out of the mean. Pages in docs/
come from

    python benchmarks/names.py --road maps --test ../shared/data/tomograms --map ... --out OUT
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from common import SLABKIT, run_once

import slabkit

ROUNDS = 3
SUFFIXES = (".mrc", ".rec", ".map", ".mrc.gz", ".zarr", ".tif")
BOX, DEPTH = 400, 300  # Å, of minislabs: the largest particle and its surroundings


class Road:
    """Runs commands in a folder and keeps what they were."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out: Path = options.out
        self.seconds = 0.0
        given = [] if options.no_maps else [word for text in options.map for word in text]
        self.maps = [word for one in given for word in ("--map", one)]

    def run(self, *words: object) -> None:
        """Run a command of slabkit, and print it."""
        print(shlex.join(["slabkit", *map(str, words)]), flush=True)
        self.seconds += run_once([SLABKIT, *words]).seconds

    def can(self, command: str, *flags: str) -> bool:
        """Tell whether a command is there and has options; say so where not."""
        try:
            found = slabkit_help(command)
        except RuntimeError:
            print(f"left out: slabkit has no command {command}")
            return False
        missing = [flag for flag in flags if flag not in found]
        if missing:
            print(f"left out: slabkit {command} has no {', '.join(missing)}")
        return not missing

    def picks(self, what: str, folder: Path, *, template: bool = False) -> Path:
        """Pick blobs, or what looks like the maps, in the volumes of a folder: the pick list."""
        volumes = sorted(p for p in folder.iterdir() if p.name.lower().endswith(SUFFIXES))
        if not volumes:
            sys.exit(f"{folder}: has no volumes")
        at = self.out / what
        table = self.out / f"{what}.star"
        self.run("slab", *volumes, "-o", at, "--step", 150)
        slabs = at / "slabs.star"
        hits = self.out / f"{what}2d.star"
        refine = ["--refine"] if self.options.road == "refined" else []
        how = (
            ["template", *self.maps, *refine]
            if template
            else ["blob", "--diameter", self.options.diameter]
        )
        self.run("pick", how[0], slabs, "-o", hits, *how[1:])
        self.run("map", hits, "--slabs", slabs, "-o", table)
        return table

    def minislabs(self, what: str, picks: Path) -> Path:
        """Make the minislabs of picks."""
        at = self.out / f"{what}-minislabs"
        self.run("minislab", picks, "-o", at, "--box", BOX, "--depth", DEPTH, "--stack")
        return at / "minislabs.star"

    def labelled(self, picks: Path, minislabs: Path, ids: list[str], name: str) -> Path:
        """Label picks by the truth, as a person who is always right."""
        table = slabkit.read_picks(picks).picks
        truth = read_truth(self.options.train)
        species = species_of(table, truth)
        said = pd.DataFrame({"pick_id": table["slabkitPickId"], "species": species})
        said = said[said["pick_id"].isin(ids)]
        said.insert(1, "decision", np.where(said["species"] == "", "rejected", "accepted"))
        clicks, labels = self.out / f"{name}.csv", self.out / f"{name}.star"
        said.to_csv(clicks, index=False)
        self.run("label", clicks, "--minislabs", minislabs, "-o", labels)
        return labels

    def learned(self, minislabs: Path, labels: list[Path], name: str) -> Path:
        """Learn a model."""
        model = self.out / name
        told = [word for one in labels for word in ("--labels", one)]
        network = ["--network"] if self.options.network else []
        self.run("learn", "--minislabs", minislabs, *told, *self.maps, *network, "-o", model)
        return model


def slabkit_help(command: str) -> str:
    """Give the help of a command."""
    import subprocess

    words = [str(SLABKIT), *command.split(), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def read_truth(folder: Path) -> pd.DataFrame:
    """Read the truth beside volumes: the species of the challenge, not what else is there."""
    from slabkit.scoring import CZII_RADII

    truth = slabkit.read_picks(folder / "truth.csv").picks
    return truth[truth["slabkitSpecies"].isin(list(CZII_RADII))].reset_index(drop=True)


def species_of(picks: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Give each pick the species of the nearest particle that is within half its radius, or none.

    A person who looks at a minislab says what it shows, be it twice in the list.
    """
    from scipy.spatial import cKDTree

    from slabkit.scoring import CZII_RADII

    axes = ["slabkitX", "slabkitY", "slabkitZ"]
    species = np.full(len(picks), "", dtype=object)
    near = np.full(len(picks), np.inf)
    for (tomogram, name), own in truth.groupby(["slabkitTomogram", "slabkitSpecies"]):
        rows = np.flatnonzero(picks["slabkitTomogram"] == tomogram)
        distance, _ = cKDTree(own[axes]).query(picks[axes].to_numpy()[rows])
        better = (distance <= CZII_RADII[name] / 2) & (distance < near[rows])
        species[rows[better]], near[rows[better]] = name, distance[better]
    return species


def maps_road(road: Road) -> bool:
    """Name the picks by maps, without labels."""
    if not road.maps:
        sys.exit("--road maps needs --map NAME=FILE")
    if not road.can("name", "--out"):
        return False
    name(road, road.picks("test", road.options.test))
    return True


def list_road(road: Road) -> bool:
    """Improve the list of another picker, which names what it picks."""
    if not road.maps:
        sys.exit("--road list needs --map NAME=FILE")
    listed = road.picks("test", road.options.test, template=True)
    show("as picked", listed, road.options.test)
    if road.options.train is None:
        name(road, listed)
    else:
        predict(road, model_of_labels(road), listed)
    return True


def refined_road(road: Road) -> bool:
    """Pick by maps, judged again in three dimensions: the list is named as it is."""
    if not road.maps:
        sys.exit("--road refined needs --map NAME=FILE")
    road.picks("curated", road.options.test, template=True)
    return True


def name(road: Road, picks: Path) -> None:
    """Name picks by maps."""
    names = road.out / "names.star"
    road.run("name", picks, *road.maps, "-o", names)
    road.run("curate", picks, names, "-o", road.out / "curated.star")


def labels_road(road: Road) -> bool:
    """Learn from labels of other tomograms."""
    if not (road.can("learn", *road.maps[:1]) and road.can("predict")):
        return False
    predict(road, model_of_labels(road), road.picks("test", road.options.test))
    return True


def model_of_labels(road: Road) -> Path:
    """Learn from labels of the training tomograms."""
    picks = road.picks("train", road.options.train)
    minislabs = road.minislabs("train", picks)
    ids = slabkit.read_picks(picks).picks["slabkitPickId"]
    if road.options.budget:
        ids = ids.sample(min(road.options.budget, len(ids)), random_state=0)
    labels = road.labelled(picks, minislabs, ids.tolist(), "labels")
    return road.learned(minislabs, [labels], "model")


def rounds_road(road: Road) -> bool:
    """Learn from labels in rounds, each of those that `suggest` asks for."""
    if not (road.can("learn", *road.maps[:1]) and road.can("predict") and road.can("suggest")):
        return False
    by_model = road.can("suggest", "--model")
    picks = road.picks("train", road.options.train)
    minislabs = road.minislabs("train", picks)
    budget = road.options.budget or 600
    labels: list[Path] = []
    model: Path | None = None
    first: list[object] = ["--picks", picks]
    if road.maps and road.can("suggest", "--predicted"):
        names = road.out / "train-names.star"
        road.run("name", picks, *road.maps, "-o", names)
        first = ["--predicted", names]
    for number in range(ROUNDS):
        asked = road.out / f"next{number + 1}.star"
        count = budget * (number + 1) // ROUNDS - budget * number // ROUNDS
        told = [word for one in labels for word in ("--labels", one)]
        how = ["--model", model] if model and by_model else first
        road.run("suggest", minislabs, *how, *told, "-n", count, "-o", asked)
        ids = slabkit.read_minislabs(asked)[0]["slabkitPickId"].tolist()
        labels.append(road.labelled(picks, minislabs, ids, f"labels{number + 1}"))
        model = road.learned(minislabs, labels, f"model{number + 1}")
    assert model is not None
    predict(road, model, road.picks("test", road.options.test))
    return True


def predict(road: Road, model: Path, picks: Path) -> None:
    """Name the picks of the test tomograms by a model."""
    minislabs = road.minislabs("test", picks)
    predicted = road.out / "predicted.star"
    road.run("predict", minislabs, "--model", model, "-o", predicted)
    road.run("curate", picks, predicted, "-o", road.out / "curated.star")


def show(what: str, picks: Path, folder: Path) -> None:
    """Say how good a list is."""
    listed = slabkit.read_picks(picks)
    truth = read_truth(folder)
    truth = truth[truth["slabkitTomogram"].isin(set(listed.tomograms["slabkitTomogram"]))]
    score = slabkit.score_picks(listed.picks, truth.reset_index(drop=True), beta=4)
    columns = ["species", "truth", "picks", "precision", "recall", "f_beta", "weight"]
    print(score.table[columns].round(3).to_string(index=False))
    print(f"{what}; weighted F4 {score.weighted_f_beta:.4f}", flush=True)


def main() -> None:
    """Take a road and say how good its list is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    roads = {
        "maps": maps_road,
        "labels": labels_road,
        "rounds": rounds_road,
        "list": list_road,
        "refined": refined_road,
    }
    parser.add_argument("--road", choices=roads, required=True)
    parser.add_argument("--train", type=Path, help="folder of labelled tomograms")
    parser.add_argument("--test", type=Path, required=True, help="folder of tomograms to name")
    parser.add_argument("--map", action="append", nargs="+", default=[], metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", type=int, help="labels in all")
    parser.add_argument("--no-maps", action="store_true", help="leave the maps out")
    parser.add_argument("--network", action="store_true", help="learn --network")
    parser.add_argument("--diameter", default="100:350", help="of the blobs, Å")
    options = parser.parse_args()
    if options.road in ("labels", "rounds") and options.train is None:
        parser.error(f"--road {options.road} needs --train")
    options.out.mkdir(parents=True, exist_ok=True)
    road = Road(options)
    if not roads[options.road](road):
        sys.exit(3)
    show(f"{road.seconds:.0f} s", options.out / "curated.star", options.test)


if __name__ == "__main__":
    main()
