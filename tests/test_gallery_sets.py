"""Results are tied to the set of galleries that was labelled; hits on empty tiles are evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import Run
from cryosparc_files import place_fields, random_uids, stack_fields, write

from slabkit.arrays.tiling import GalleryLayout
from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.results import read_results
from slabkit.formats.tables.native import read_labels, read_native_picks, write_minislabs
from slabkit.formats.tables.star_writing import format_star
from slabkit.labels import label_minislabs
from slabkit.minislabs.galleries import (
    gallery_name,
    gallery_set_id,
    geometry_table,
    minislab_table,
)

LAYOUT = GalleryLayout(20, 3, 4, 7)
PLACE = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"]


def minislabs(ids: list[str], old: bool = False, layout: GalleryLayout = LAYOUT) -> pd.DataFrame:
    """A set as `slabkit minislab` names it, or as it did before sets had names."""
    set_id = gallery_set_id(layout, 10, ids, np.zeros(len(ids)))
    numbers = range(layout.galleries(len(ids)))
    names = [f"m/minislabs_{n:03d}" if old else f"m/{gallery_name(set_id, n)}" for n in numbers]
    return minislab_table(
        layout,
        galleries=[f"{name}.mrc" for name in names],
        stacks=[f"{name}.mrcs" for name in names],
        pick_ids=ids,
        tomograms=["a"] * len(ids),
        tilts=np.zeros(len(ids)),
        inside_fraction=np.ones(len(ids)),
        set_id=set_id,
    )


ALL = [f"p{number:03d}" for number in range(30)]
NEXT = ALL[::-1][:8]  # as `suggest --gallery` shows some of them, in another order


def label(path: Path, table: pd.DataFrame, **options: Any) -> dict[str, str]:
    read = read_results([path], table, LAYOUT)
    options = {"y_axis": "down", "unlisted": "undecided", **options}
    labels, _ = label_minislabs(read.table, table, LAYOUT, **options)
    return dict(zip(labels["slabkitPickId"], labels["slabkitDecision"], strict=True))


def csv_of_tiles(path: Path, table: pd.DataFrame) -> Path:
    path = path / "tiles.csv"
    named = table[["rlnMicrographName", "slabkitTileRow", "slabkitTileColumn"]]
    named = named.set_axis(["gallery", "row", "column"], axis="columns")
    named.assign(gallery=named["gallery"].str.rpartition("/")[2], decision="yes").to_csv(
        path, index=False
    )
    return path


def csv_of_places(path: Path, table: pd.DataFrame) -> Path:
    path = path / "places.csv"
    named = table[PLACE].set_axis(["gallery", "x", "y"], axis="columns")
    named.assign(decision="yes").to_csv(path, index=False)
    return path


def topaz(path: Path, table: pd.DataFrame) -> Path:
    path = path / "topaz.txt"
    named = table[PLACE].set_axis(["image_name", "x_coord", "y_coord"], axis="columns")
    stems = [Path(name).stem for name in named["image_name"]]
    named.assign(image_name=stems, score=2.5).to_csv(path, sep="\t", index=False)
    return path


def relion(path: Path, table: pd.DataFrame) -> Path:
    """A selection of what RELION extracted itself: nothing but places on micrographs."""
    path = path / "particles.star"
    images = [f"{n + 1:06d}@Extract/job007/x.mrcs" for n in range(len(table))]
    rows = table[PLACE].assign(rlnImageName=images)
    path.write_text(format_star({"particles": rows.astype(str)}))
    return path


def relion_stack(path: Path, table: pd.DataFrame) -> Path:
    path = path / "images.star"
    path.write_text(format_star({"particles": table[["rlnImageName"]]}))
    return path


def cryosparc(path: Path, table: pd.DataFrame) -> Path:
    rows = np.arange(len(table))
    return Path(write(path / "selected.cs", random_uids(len(table)), place_fields(table, rows)))


def cryosparc_stack(path: Path, table: pd.DataFrame) -> Path:
    rows = np.arange(len(table))
    return Path(write(path / "stack.cs", random_uids(len(table)), stack_fields(table, rows)))


WRITERS = [
    csv_of_tiles,
    csv_of_places,
    topaz,
    relion,
    relion_stack,
    cryosparc,
    cryosparc_stack,
]


@pytest.mark.parametrize("written", WRITERS)
@pytest.mark.filterwarnings("ignore:.*exactly those of tiles")
def test_a_result_is_taken_with_its_own_set_only(tmp_path: Path, written: Any) -> None:
    everything, shown = minislabs(ALL), minislabs(NEXT)
    path = written(tmp_path, shown.iloc[:3])
    assert label(path, shown) == dict.fromkeys(NEXT[:3], "accepted")
    with pytest.raises(InputError, match=r"another set|none of the .* rows"):
        label(path, everything)
    # Some of each: the others are not passed over.
    (tmp_path / "both").mkdir()
    both = written(tmp_path / "both", pd.concat([everything.iloc[:3], shown.iloc[:1]]))
    if written is not cryosparc_stack:
        with pytest.raises(InputError, match=r"another set of galleries .* \(1 of 4 rows\)"):
            label(both, everything)


@pytest.mark.parametrize("written", WRITERS)
@pytest.mark.filterwarnings("ignore:.*exactly those of tiles")
def test_old_sets_are_read_and_mixed_with_none(tmp_path: Path, written: Any) -> None:
    old, new = minislabs(ALL, old=True), minislabs(ALL)
    path = written(tmp_path, old.iloc[[1, 14]])
    assert label(path, old) == dict.fromkeys(["p001", "p014"], "accepted")
    for one, other in ((old, new), (new, old)):
        with pytest.raises(InputError, match=r"another set|none of the .* rows"):
            label(written(tmp_path, one.iloc[[1, 14]]), other)


def test_a_number_says_not_of_which_set_it_is(tmp_path: Path) -> None:
    table = minislabs(ALL)
    path = tmp_path / "r.csv"
    path.write_text("gallery,row,column,decision\n1,0,1,yes\n")
    assert label(path, minislabs(ALL, old=True)) == {"p013": "accepted"}
    with pytest.raises(InputError, match=r"gallery '1' is a number, which every set .* has"):
        label(path, table)
    set_id = table["slabkitGallerySet"][0]
    path.write_text(f"gallery,row,column,decision,gallery_set\n1,0,1,yes,{set_id}\n")
    assert label(path, table) == {"p013": "accepted"}


# ---- hits on empty tiles --------------------------------------------------------------------


def tiles_as(path: Path, table: pd.DataFrame, change: Any, decisions: Any = "yes") -> Path:
    rows = table[["rlnMicrographName", "slabkitTileRow", "slabkitTileColumn"]]
    rows = rows.set_axis(["gallery", "row", "column"], axis="columns").assign(decision=decisions)
    rows["row"], rows["column"] = change(rows["row"], rows["column"])
    rows.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        (lambda r, c: (c, r), "rows and columns are exchanged"),
        (lambda r, c: (3 - r, c), "rows count from the last one"),
        (lambda r, c: (r, 3 - c), "columns count from the last one"),
        (lambda r, c: (3 - r, 3 - c), "rows and columns count from the last ones"),
    ],
)
@pytest.mark.parametrize("decisions", ["yes", "no", ["yes", "no"] * 3])
@pytest.mark.filterwarnings("ignore:EVERYTHING")
def test_64_transposed_answers_are_found_out(
    tmp_path: Path, change: Any, reading: str, decisions: Any
) -> None:
    layout = GalleryLayout(20, 4, 4, 0)
    table = minislabs(ALL[:6], layout=layout)
    path = tiles_as(tmp_path / "t.csv", table, change, decisions)
    read = read_results([path], table, layout)
    with pytest.raises(InputError, match=rf"\d of 6 rows are on empty tiles .* 0 if {reading}"):
        label_minislabs(read.table, table, layout)
    right = tiles_as(tmp_path / "t.csv", table, lambda r, c: (r, c), decisions)
    label_minislabs(read_results([right], table, layout).table, table, layout)


def test_64_places_with_x_and_y_exchanged(tmp_path: Path) -> None:
    layout = GalleryLayout(20, 4, 4, 0)
    table = minislabs(ALL[:6], layout=layout)
    rows = table[PLACE].set_axis(["gallery", "y", "x"], axis="columns")
    rows.assign(decision="yes").to_csv(tmp_path / "t.csv", index=False)
    read = read_results([tmp_path / "t.csv"], table, layout)
    with pytest.raises(InputError, match=r"2 tiles .* are empty, and 0 if x and y are exchanged"):
        label_minislabs(read.table, table, layout, y_axis="down")


@pytest.mark.parametrize(
    ("change", "reading"),
    [
        (lambda x, y: (159 - x, y), "x counts from the last column"),
        (lambda x, y: (159 - x, 159 - y), "x and y count from the last ones"),
        (lambda x, y: (159 - y, 159 - x), "x and y are exchanged and both count from the last"),
        (lambda x, y: (159 - y, x), "x and y are exchanged and x counts from the last column"),
        (lambda x, y: (y, 159 - x), "x and y are exchanged and y counts from the last row"),
    ],
)
@pytest.mark.parametrize("written", [csv_of_places, topaz])
def test_64_places_turned_and_mirrored(
    tmp_path: Path, change: Any, reading: str, written: Any
) -> None:
    layout = GalleryLayout(20, 8, 8, 0)
    table = minislabs(ALL[:4], layout=layout)
    rows = table.copy()
    rows["rlnCoordinateX"], rows["rlnCoordinateY"] = change(*(table[name] for name in PLACE[1:]))
    read = read_results([written(tmp_path, rows)], table, layout)
    with pytest.raises(InputError, match=rf"4 tiles .* are empty, and 0 if {reading}"):
        label_minislabs(read.table, table, layout, y_axis="down")


def test_places_on_empty_tiles_that_no_reading_explains(tmp_path: Path) -> None:
    """A person clicks on no empty tile; a detector, which scores its hits, may."""
    table = minislabs(ALL[:18])  # the second gallery has a row and a half of three
    names = table["rlnMicrographName"]
    places = [(12, 0, 1), (12, 1, 0), (0, 2, 3), (12, 1, 3)]  # the last one is empty
    place = [[names[n], *map(float, LAYOUT.tile_centre(r, c))] for n, r, c in places]
    rows = pd.DataFrame(place, columns=PLACE)
    with pytest.raises(InputError, match=r"1 of 4 accepted rows are on empty tiles.*row 4\. Rows"):
        label(csv_of_places(tmp_path, rows), table)
    with pytest.warns(SlabkitWarning, match="1 rows lie on empty tiles"):
        found = label(topaz(tmp_path, rows), table)
    assert [name for name, word in found.items() if word == "accepted"] == ["p011", "p013", "p016"]


def test_an_accepted_empty_tile_stops_and_a_rejected_one_is_counted(tmp_path: Path) -> None:
    table = minislabs(ALL[:12] + ALL[12:20])  # the second gallery has two rows of three
    name = Path(table["rlnMicrographName"].iloc[-1]).name
    sheet = [f"{name},{row},{column}" for row in range(3) for column in range(4)]
    text = "\n".join(f"{tile},{'yes' if n < 8 else 'no'}" for n, tile in enumerate(sheet))
    path = tmp_path / "sheet.csv"
    path.write_text("gallery,row,column,decision\n" + text)
    with pytest.warns(SlabkitWarning, match="4 rows lie on empty tiles"):
        assert label(path, table) == dict.fromkeys(ALL[12:20], "accepted")
    path.write_text(path.read_text().replace("2,3,no", "2,3,yes"))
    with pytest.raises(InputError, match=r"1 of 9 accepted rows are on empty tiles .*row 12"):
        label(path, table)


# ---- classifications ------------------------------------------------------------------------


def classified(path: Path, table: pd.DataFrame, classes: list[int]) -> Path:
    path.write_text(format_star({"particles": table.assign(rlnClassNumber=classes).astype(str)}))
    return path


def test_a_whole_classification_is_no_selection(tmp_path: Path) -> None:
    table = minislabs(ALL[:6])
    path = classified(tmp_path / "classified.star", table, [1, 1, 2, 2, 3, 4])
    with pytest.raises(InputError, match=r"all 6 minislabs in 4 classes.*--classes all accepts"):
        label(path, table, unlisted="rejected")
    with pytest.warns(SlabkitWarning, match="EVERYTHING IS ACCEPTED"):
        assert set(label(path, table, classes="all").values()) == {"accepted"}
    some = classified(path, table.iloc[[0, 2]], [1, 2])
    found = label(some, table, unlisted="rejected")
    assert [name for name, word in found.items() if word == "accepted"] == ["p000", "p002"]


def test_species_of_classes_in_one_call(tmp_path: Path, slabkit: Run) -> None:
    table = minislabs(ALL[:6])
    set_id = table["slabkitGallerySet"][0]
    geometry = geometry_table(
        LAYOUT, tiles=6, pixel_size=10, box=200, depth=100, contrast="dark", set_id=set_id
    )
    write_minislabs(tmp_path / "m.star", table, geometry)
    classified(tmp_path / "c.star", table, [1, 1, 2, 3, 4, 4])
    command = ("label", "c.star", "--minislabs", "m.star", "--classes")
    slabkit(*command, "ribosome=1-2,apo-ferritin=4", "-o", "l.star")
    twice = ("ribosome=1-2", "--classes", "apo-ferritin=4")
    slabkit(*command, *twice, "-o", "twice.star")
    assert (tmp_path / "twice.star").read_bytes() == (tmp_path / "l.star").read_bytes()
    alone = slabkit(*command, "ribosome=1-2", "--classes", "4", "-o", "x.star", code=2)
    assert "--classes 4: says no species, and --classes ribosome=1-2 does." in alone.stderr
    labels = read_labels(tmp_path / "l.star").set_index("slabkitPickId")
    assert labels["slabkitSpecies"].tolist() == [
        "ribosome", "ribosome", "ribosome", "", "apo-ferritin", "apo-ferritin",
    ]  # fmt: skip
    assert labels["slabkitDecision"].tolist() == ["accepted"] * 3 + ["rejected"] + ["accepted"] * 2
    rows = "".join(f"{name},a,{n}00,100,100\n" for n, name in enumerate(ALL[:6]))
    (tmp_path / "p.csv").write_text("pick_id,tomogram,x,y,z\n" + rows)
    slabkit("convert", "p.csv", "p.star", "--voxel-size", 10)
    slabkit("curate", "p.star", "l.star", "-o", "kept.star")
    kept = read_native_picks(tmp_path / "kept.star").picks
    assert kept["slabkitSpecies"].value_counts().to_dict() == {"ribosome": 3, "apo-ferritin": 2}
    for classes, message in (
        ("ribosome=1-2,apo-ferritin=2", "class 2 is ribosome and apo-ferritin"),
        ("3,ribosome=1", "3 comes before the first species"),
        ("=1", "a species is missing before '='"),
        ("ribosome=7", "there is no class 7 in the result"),
        ("../x=1", "species '../x' cannot be used as a name"),
    ):
        done = slabkit(*command, classes, "-o", "x.star", code=2)
        assert message in done.stderr
    both = slabkit(*command, "ribosome=1", "--species", "x", "-o", "x.star", code=2)
    assert "--classes names the species already" in both.stderr


def test_views_of_two_species_do_not_contradict_silently() -> None:
    ids = [name for name in ALL[:3] for _ in range(3)]
    table = minislabs(ids).assign(slabkitTilt=[-20.0, 0.0, 20.0] * 3)
    result = table[["slabkitPickId", "slabkitTilt"]].assign(
        slabkitClass=["1", "4", "4", "1", "4", "9", "1", "1", "9"], slabkitScore=1.0
    )
    labels, report = label_minislabs(result, table, LAYOUT, classes="ribosome=1,apo-ferritin=4")
    assert labels["slabkitDecision"].tolist() == ["accepted", "undecided", "accepted"]
    assert labels["slabkitSpecies"].tolist() == ["apo-ferritin", "", "ribosome"]
    assert report.tied == 1
