"""What RELION's tables say of tomograms, and the tables that slabkit writes for RELION."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import InputError, SlabkitWarning
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.picks.writing import write_picks
from slabkit.formats.programs.relion.export import export_relion
from slabkit.formats.tables.native import PickList, write_minislabs, write_slabs
from slabkit.formats.tables.star import parse_star, read_star
from slabkit.formats.tables.star_writing import format_star
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.formats.volumes.mrc import write_mrc
from slabkit.minislabs.galleries import GalleryLayout, geometry_table, minislab_table
from slabkit.tables import PICKS, SLABS, TOMOGRAMS, make_table

POSITION = ["slabkitX", "slabkitY", "slabkitZ"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_tomograms(path="tomograms.star", **columns):
    table = {
        "rlnTomoName": ["TS_01", "00255"],
        "rlnTomoTiltSeriesPixelSize": [1.825, 2.503],
        "rlnTomoTomogramBinning": [4.0, 4.0],
        "rlnTomoSizeX": [33, 40],
        "rlnTomoSizeY": [24, 31],
        "rlnTomoSizeZ": [18, 22],
        "rlnTomoReconstructedTomogram": ["Tomo/rec_TS_01.mrc", "Tomo/rec_00255.mrc"],
        **columns,
    }
    table = {name: values for name, values in table.items() if values is not None}
    Path(path).write_text(format_star({"global": pd.DataFrame(table)}))
    return path


def write_volume(path, shape, voxel_size):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mrc(path, np.zeros(shape, dtype=np.float32), voxel_size, label="test")


# ------------------------------------------------------------------ tomograms.star


def test_names_sizes_and_binning_are_read():
    table = read_tomograms([write_tomograms()])
    assert table.slabkitTomogram.tolist() == ["TS_01", "00255"]
    np.testing.assert_allclose(table.slabkitVoxelSize, [7.3, 10.012])
    # 33 / 4 and 31 / 4 are 8; 22 / 4 is 5.5 and goes up.
    sizes = table[[f"slabkitTomogramSize{axis}" for axis in "XYZ"]].to_numpy().tolist()
    assert sizes == [[8, 6, 5], [10, 8, 6]]
    assert table.rlnTomoSizeX.tolist() == [33, 40]
    assert table.slabkitTomogramFile.tolist() == ["Tomo/rec_TS_01.mrc", "Tomo/rec_00255.mrc"]


def test_a_volume_that_is_there_says_its_own_size(project):
    write_volume(project / "Tomo" / "rec_TS_01.mrc", (4, 6, 9), 7.3)
    table = read_tomograms([write_tomograms()])
    sizes = table[[f"slabkitTomogramSize{axis}" for axis in "XYZ"]].to_numpy().tolist()
    assert sizes == [[9, 6, 4], [10, 8, 6]]
    write_volume(project / "Tomo" / "rec_TS_01.mrc", (4, 6, 9), 7.84)
    with pytest.raises(InputError, match=r"7\.84"):
        read_tomograms(["tomograms.star"])
    assert read_tomograms(["tomograms.star"], 7.84).slabkitVoxelSize.tolist() == [7.84, 7.84]


def test_tomograms_are_listed_by_their_names_in_relion(project):
    listed = list_tomograms([write_tomograms()])
    assert [(t.name, str(t.path)) for t in listed] == [
        ("TS_01", "Tomo/rec_TS_01.mrc"),
        ("00255", "Tomo/rec_00255.mrc"),
    ]
    denoised = ["Denoised/a.mrc", "none"]
    write_tomograms(rlnTomoReconstructedTomogramDenoised=denoised)
    with pytest.warns(SlabkitWarning, match="the first is taken where there is one"):
        listed = list_tomograms(["tomograms.star"])
    assert [str(t.path) for t in listed] == ["Denoised/a.mrc", "Tomo/rec_00255.mrc"]
    write_tomograms(rlnTomoReconstructedTomogram=None)
    with pytest.raises(InputError, match="has no reconstructed volume for the tomogram TS_01"):
        list_tomograms(["tomograms.star"])


def test_without_binning_the_volume_or_the_unbinned_size_counts(project):
    write_volume(project / "Tomo" / "rec_TS_01.mrc", (4, 6, 9), 7.3)
    table = read_tomograms([write_tomograms(rlnTomoTomogramBinning=None)])
    np.testing.assert_allclose(table.slabkitVoxelSize, [7.3, 2.503], rtol=1e-6)
    assert table.slabkitTomogramSizeX.tolist() == [9, 40]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rlnTomoName": ["a", "a"]}, "the tomogram a appears twice"),
        ({"rlnTomoName": ["a", "x/y"]}, "cannot be used as a name"),
        ({"rlnTomoTiltSeriesPixelSize": None}, "has no rlnTomoTiltSeriesPixelSize"),
        ({"rlnTomoTiltSeriesPixelSize": ["1.8", "0"]}, "is 0; it must be positive"),
        ({"rlnTomoTiltSeriesPixelSize": ["1.8", "1,8"]}, "is '1,8' in row 2"),
        ({"rlnTomoSizeX": ["30", "-2"]}, "rlnTomoSizeX is -2; it must be positive"),
        ({"rlnTomoTomogramBinning": ["4", "four"]}, "is 'four' in row 2"),
    ],
)
def test_tomograms_that_make_no_sense_are_refused(columns, message):
    with pytest.raises(InputError, match=message):
        read_tomograms([write_tomograms(**columns)])


def pick_list(names=("TS_01", "00255")):
    rng = np.random.default_rng(0)
    columns = dict(zip(POSITION, rng.uniform(5, 35, (3, 6)), strict=True))
    picks = make_table(
        PICKS,
        {"slabkitPickId": [f"p{n}" for n in range(6)],
         "slabkitTomogram": [names[n % 2] for n in range(6)], **columns},
    )  # fmt: skip
    tomograms = make_table(
        TOMOGRAMS, {"slabkitTomogram": list(names), "slabkitVoxelSize": [7.3, 10.012]}
    )
    return PickList(picks, tomograms)


def test_relion5_counts_from_half_the_unbinned_size():
    """33 pixels of 1.825 Å, not 8 voxels of 7.3: the centre is at 30.1 Å, not at 29.2."""
    table = read_tomograms([write_tomograms()])
    write_picks("picks.star", pick_list())
    picks = read_picks("picks.star", tomograms=table)
    write_picks("r5.star", picks, format="relion5")
    rows = read_star("r5.star")["particles"]
    want = picks.picks[POSITION].to_numpy()
    half = np.array([[33, 24, 18], [40, 31, 22]]) / 2 * np.array([[1.825], [2.503]])
    got = rows[[f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]].to_numpy(float)
    np.testing.assert_allclose(got, want - half[[0, 1] * 3], atol=1e-9)
    optics = read_star("r5.star")["optics"]
    assert optics.rlnTomoTiltSeriesPixelSize.astype(float).tolist() == [1.825, 2.503]
    back = read_picks("r5.star", tomograms=table)
    np.testing.assert_allclose(back.picks[POSITION], want, atol=1e-9)
    # The other centre is one pixel of the tilt series less, and needs no --binning either.
    other = read_picks("r5.star", tomograms=table, centre="size/2-1")
    pixel = np.array([1.825, 2.503])[[0, 1] * 3, None]
    np.testing.assert_allclose(other.picks[POSITION], want - pixel, atol=1e-9)


def test_relion4_counts_in_pixels_of_the_tilt_series():
    table = read_tomograms([write_tomograms()])
    write_picks("picks.star", pick_list())
    picks = read_picks("picks.star", tomograms=table)
    write_picks("r4.star", picks, format="relion4")
    rows = read_star("r4.star")["particles"]
    got = rows[["rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ"]].to_numpy(float)
    pixel = np.array([1.825, 2.503])[[0, 1] * 3, None]
    np.testing.assert_allclose(got * pixel, picks.picks[POSITION], atol=1e-9)
    # Without its own pixel size a file has that of the table of tomograms.
    bare = rows.drop(columns=["rlnOpticsGroup"])
    Path("bare.star").write_text(format_star({"particles": bare}))
    back = read_picks("bare.star", tomograms=table, format="relion4")
    np.testing.assert_allclose(back.picks[POSITION], picks.picks[POSITION], atol=1e-9)


def test_what_relion_says_stays_with_the_pick_list():
    table = read_tomograms([write_tomograms()])
    write_picks("picks.star", pick_list())
    write_picks("known.star", read_picks("picks.star", tomograms=table))
    again = read_picks("known.star")
    write_picks("a.star", again, format="relion5")  # no warning that the binning is not known
    write_picks("b.star", read_picks("picks.star", tomograms=table), format="relion5")
    assert Path("a.star").read_bytes() == Path("b.star").read_bytes()


def test_pixel_sizes_that_contradict_each_other_are_refused():
    write_picks("picks.star", pick_list())
    picks = read_picks("picks.star", tomograms=read_tomograms([write_tomograms()]))
    write_picks("r4.star", picks, format="relion4")
    write_tomograms(rlnTomoTiltSeriesPixelSize=[1.35, 2.503])
    with pytest.raises(InputError, match=r"has 1\.825 Å pixels here and 1\.35 Å in the table"):
        read_picks("r4.star", tomograms=read_tomograms(["tomograms.star"]))


def test_names_of_volumes_become_those_of_relion():
    write_picks("picks.star", pick_list(("rec_TS_01", "rec_00255")))
    with pytest.warns(SlabkitWarning, match="taken by their bare names: rec_TS_01 for TS_01"):
        picks = read_picks("picks.star", tomograms=read_tomograms([write_tomograms()]))
    assert set(picks.picks.slabkitTomogram) == {"TS_01", "00255"}
    assert sorted(picks.tomograms.slabkitTomogram) == ["00255", "TS_01"]


# ------------------------------------------------------------------ export relion


def write_table_of_minislabs(count=7, contrast="dark", folder="mini"):
    layout = GalleryLayout(16, 2, 2, border_px=3)
    galleries = [f"{folder}/minislabs_{n:03d}.mrc" for n in range(layout.galleries(count))]
    for name in galleries:
        write_volume(Path(name), (1, 4, 4), 10.0)
    table = minislab_table(
        layout,
        galleries=galleries,
        pick_ids=[f"a-{n}" for n in range(count)],
        tomograms=["a"] * count,
        tilts=np.zeros(count),
        inside_fraction=np.ones(count),
        set_id="set-1",
    )
    geometry = geometry_table(
        layout, tiles=count, pixel_size=10.0, box=160, depth=100, contrast=contrast, set_id="set-1"
    )
    write_minislabs("minislabs.star", table, geometry)
    return table, galleries


@pytest.mark.parametrize("count", [1, 4, 7])
def test_every_tile_has_its_place_in_a_file_of_its_gallery(count):
    table, galleries = write_table_of_minislabs(count)
    exported = export_relion("minislabs.star", "relion")
    texts = {str(path): parse_star(text) for path, text in exported.files.items()}
    micrographs = texts.pop("relion/galleries.star")
    assert micrographs["micrographs"].rlnMicrographName.tolist() == galleries
    assert micrographs["optics"].rlnMicrographPixelSize.tolist() == ["10.0"]
    listed = texts.pop("relion/coordinates.star")["coordinate_files"]
    assert listed.rlnMicrographName.tolist() == galleries
    assert listed.rlnMicrographCoordinates.tolist() == list(texts)
    found = []
    for gallery, path in zip(galleries, texts, strict=True):
        # As RELION makes the path: the folder, the micrograph without suffix, the ending.
        assert path == f"relion/{gallery.removesuffix('.mrc')}_slabkit.star"
        rows = texts[path][""]
        found += [
            (gallery, float(row.rlnCoordinateX), float(row.rlnCoordinateY), row.slabkitPickId)
            for row in rows.itertuples()
        ]
        assert rows.rlnParticleName.tolist() == rows.slabkitPickId.tolist()
    own = table[["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "slabkitPickId"]]
    assert found == [tuple(row) for row in own.itertuples(index=False)]
    assert "--extract_size 16" in exported.next_step
    assert "--invert_contrast" in exported.next_step


def test_bright_galleries_are_not_inverted():
    write_table_of_minislabs(contrast="bright")
    assert "--invert_contrast" not in export_relion("minislabs.star", "relion").next_step


def test_relion_leaves_the_job_out_of_a_path():
    write_table_of_minislabs(folder="External/job012/mini")
    files = [str(path) for path in export_relion("minislabs.star", "relion", "x").files]
    assert "relion/mini/minislabs_000_x.star" in files


def test_slabs_are_apart_by_size():
    sizes = [(30, 20, 7.3), (30, 20, 7.3001), (30, 20, 10.012), (20, 30, 7.3), (30, 20, 7.3)]
    table = make_table(
        SLABS,
        {
            "rlnMicrographName": [f"slabs/s{n}.mrc" for n in range(len(sizes))],
            "rlnTomoName": [f"T{n}" for n in range(len(sizes))],
            "slabkitZStart": 0,
            "slabkitZCount": 5,
            "slabkitVoxelSize": [size[2] for size in sizes],
            "slabkitContrast": "bright",
            "slabkitTomogramContrast": "bright",
            "slabkitTomogramSizeX": [size[0] for size in sizes],
            "slabkitTomogramSizeY": [size[1] for size in sizes],
            "slabkitTomogramSizeZ": 9,
        },
    )
    for name in table.rlnMicrographName:
        write_volume(Path(name), (1, 4, 4), 7.3)
    write_slabs("slabs.star", table)
    exported = export_relion("slabs.star", "relion")
    found = {
        path.name: parse_star(text)["micrographs"].rlnMicrographName.tolist()
        for path, text in exported.files.items()
    }
    assert found == {
        "micrographs_30x20_7.3A.star": ["slabs/s0.mrc", "slabs/s1.mrc", "slabs/s4.mrc"],
        "micrographs_30x20_10.012A.star": ["slabs/s2.mrc"],
        "micrographs_20x30_7.3A.star": ["slabs/s3.mrc"],
    }
    assert "--Log_invert" in exported.next_step
    write_slabs("one.star", table.iloc[[0, 4]])
    assert [path.name for path in export_relion("one.star", "relion").files] == ["micrographs.star"]


def test_export_refuses(project, slabkit):
    write_table_of_minislabs()
    with pytest.raises(InputError, match="--suffix must be of letters"):
        export_relion("minislabs.star", "relion", "a/b")
    (project / "x.star").write_text("data_other\n\n_a 1\n")
    with pytest.raises(InputError, match="neither a minislab nor a slab table"):
        export_relion("x.star", "relion")
    (project / "elsewhere").mkdir()
    slabkit("export", "relion", "../minislabs.star", "-o", "r", cwd=project / "elsewhere", code=2)
    (project / "mini" / "minislabs_001.mrc").unlink()
    with pytest.raises(InputError, match=r"names mini/minislabs_001\.mrc, which is not there"):
        export_relion("minislabs.star", "relion")


def test_export_is_a_step_like_others(project, slabkit):
    write_table_of_minislabs()
    done = slabkit("export", "relion", "minislabs.star", "-o", "relion")
    assert "next: relion_preprocess --i relion/galleries.star" in done.stderr
    before = {path: path.read_bytes() for path in project.glob("relion/**/*.star")}
    assert len(before) == 4
    assert "skipped" in slabkit("export", "relion", "minislabs.star", "-o", "relion").stderr
    write_table_of_minislabs(3)
    assert (
        "exists already"
        in slabkit("export", "relion", "minislabs.star", "-o", "relion", code=2).stderr
    )
    slabkit("export", "relion", "minislabs.star", "-o", "relion", "--overwrite")
    assert sorted(project.glob("relion/mini/*.star")) == [
        project / "relion" / "mini" / "minislabs_000_slabkit.star"
    ]  # the other gallery's, which nothing names now, is gone


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_tomograms_star_gives_an_error_or_a_table(tmp_path_factory, data):
    from slabkit.errors import SlabkitError

    path = tmp_path_factory.mktemp("t") / "tomograms.star"
    write_tomograms(str(path))
    text = path.read_text()
    tokens = text.split(" ") if data.draw(st.booleans()) else text.split("\t")
    at = data.draw(st.integers(0, len(tokens) - 1))
    tokens[at] = data.draw(st.sampled_from(["", "nan", "inf", "-1", "#", "x/y", "1e400", "\n\n"]))
    path.write_text(("\t" if "\t" in text else " ").join(tokens)[: data.draw(st.integers(1, 900))])
    try:
        table = read_tomograms([path])
    except SlabkitError:
        return
    assert set(TOMOGRAMS.names) <= set(table.columns)


# ------------------------------------------------------------------ optimisation_set.star


def write_set(path="Extract/job7/optimisation_set.star", **named):
    named = {"Particles": "Extract/job7/particles.star", "Tomograms": "tomograms.star"} | named
    rows = "".join(f"_rlnTomo{label}File {name}\n" for label, name in named.items() if name)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"\n# version 50001\n\ndata_optimisation_set\n\n{rows}\n")
    return path


def write_particles(path="Extract/job7/particles.star"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    columns = {f"rlnCenteredCoordinate{a}Angst": [v] for a, v in zip("XYZ", (1, 2, 3), strict=True)}
    table = pd.DataFrame({"rlnTomoName": ["TS_01"]} | columns)
    Path(path).write_text(format_star({"particles": table}))
    return path


@pytest.mark.parametrize("folder", [".", "Extract", "Extract/job7"])
def test_optimisation_sets_name_particles_and_tomograms(project, monkeypatch, folder):
    write_tomograms()
    write_particles()
    given = project / write_set(Trajectories="none", Manifolds="m.star")
    monkeypatch.chdir(project / folder)  # its paths are relative to the project
    picks = read_picks(given)
    sides = np.array([33, 24, 18]) * 1.825
    np.testing.assert_allclose(picks.picks[POSITION], [sides / 2 + (1, 2, 3)])
    assert picks.tomograms.slabkitTomogram.tolist() == ["TS_01", "00255"]
    assert read_tomograms([given]).slabkitTomogram.tolist() == ["TS_01", "00255"]
    refs = list_tomograms([str(given)])
    assert [ref.path.name for ref in refs] == ["rec_TS_01.mrc", "rec_00255.mrc"]
    elsewhere = write_tomograms(project / "other.star", rlnTomoSizeX=[43, 40])
    other = read_picks(given, tomograms=read_tomograms([elsewhere]))
    np.testing.assert_allclose(other.picks.slabkitX, [43 * 1.825 / 2 + 1])  # what is given wins


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (
            {"Particles": "gone.star"},
            r"names gone\.star \(rlnTomoParticlesFile\), which",
        ),
        ({"Particles": ""}, "names not just one rlnTomoParticlesFile"),
        ({"Particles": "none"}, "names not just one rlnTomoParticlesFile"),
        ({"Tomograms": "gone.star"}, r"names gone\.star \(rlnTomoTomogramsFile\)"),
        ({"Particles": "Extract/job7/optimisation_set.star"}, "is an optimisation set itself"),
    ],
)
def test_optimisation_sets_that_are_refused(named, message):
    write_tomograms()
    write_particles()
    with pytest.raises(InputError, match=message):
        read_picks(write_set(**named))


def test_optimisation_sets_without_tomograms(slabkit):
    write_particles()
    with pytest.raises(InputError, match=r"the size of TS_01 is not known.*give --tomograms"):
        read_picks(write_set(Tomograms=""))
    with pytest.raises(InputError, match="names not just one rlnTomoTomogramsFile"):
        read_tomograms([write_set(Tomograms="")])


def test_particles_of_an_optimisation_set_are_inputs(slabkit):
    write_tomograms()
    write_particles()
    given = write_set()
    slabkit("convert", given, "p.csv")
    assert "finished" in slabkit("convert", given, "p.csv").stderr
    text = Path("Extract/job7/particles.star").read_text()
    Path("Extract/job7/particles.star").write_text(text.replace("\t3", "\t4"))
    assert "particles.star" in slabkit("convert", given, "p.csv", code=2).stderr
    slabkit("convert", given, "p.csv", "--overwrite")
    assert "optimisation set" in slabkit("info", given).stdout
