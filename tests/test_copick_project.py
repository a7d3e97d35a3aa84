"""Copick projects on disk, made by hand; tests/clients/test_copick.py has copick itself."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from slabkit.errors import (
    InputError,
    MissingDependencyError,
    OutputExistsError,
    SlabkitError,
    SlabkitWarning,
)
from slabkit.formats.picks.reading import read_picks
from slabkit.formats.programs.copick.writing import (
    plan_project_picks,
    require_new,
    write_project_picks,
)
from slabkit.formats.tables.native import PickList, read_slabs
from slabkit.formats.tables.paths import is_there, path_for_table, resolve_path
from slabkit.formats.tomograms import copick_remote
from slabkit.formats.tomograms.copick_project import open_project
from slabkit.formats.tomograms.listing import list_tomograms
from slabkit.formats.tomograms.names import is_reference, make_reference
from slabkit.formats.tomograms.table import read_tomograms
from slabkit.tables import PICKS, TOMOGRAMS, make_table
from slabkit.tomogram import Reading

OBJECTS = ("ribosome", "apo-ferritin")


def config(folder: Path, **changes: Any) -> str:
    content: dict[str, Any] = {
        "config_type": "filesystem",
        "name": "test",
        "version": "1.31.0",
        "pickable_objects": [{"name": name, "is_particle": True} for name in OBJECTS],
        "overlay_root": f"local://{folder / 'overlay'}",
        "static_root": str(folder / "static"),
    } | changes
    path = folder / "config.json"
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return f"copick:{path}"


def add_tomogram(
    root: Path, run: str, folder: str, kind: str, scale: float, shape: tuple[int, ...] = (6, 9, 11)
) -> Path:
    path = root / "ExperimentRuns" / run / f"VoxelSpacing{folder}" / f"{kind}.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    datasets = []
    for level in range(3):
        group.create_array(str(level), data=data[:: 2**level, :: 2**level, :: 2**level])
        transform = {"type": "scale", "scale": [scale * 2**level] * 3}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def add_picks(root: Path, run: str, name: str, **changes: Any) -> Path:
    user, session, what = name.split("_")
    point = {"location": {"x": 1.5, "y": 2.5, "z": 3.5}, "score": 0.5, "instance_id": 3}
    content = {
        "pickable_object_name": what,
        "user_id": user,
        "session_id": session,
        "run_name": run,
        "unit": "angstrom",
        "points": [point],
    } | changes
    path = root / "ExperimentRuns" / run / "Picks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def project(tmp_path: Path) -> str:
    for run in ("TS_1", "TS_10", "00255"):
        add_tomogram(tmp_path / "static", run, "10.000", "wbp", 10.012)
    add_tomogram(tmp_path / "static", "TS_1", "10.000", "denoised", 10.012)
    add_tomogram(tmp_path / "overlay", "TS_10", "7.840", "wbp", 7.84)
    return config(tmp_path)


def pick_list(*rows: tuple[str, str, float, float, float, float], **extra: Any) -> PickList:
    runs, species, x, y, z, score = map(list, zip(*rows, strict=True))
    columns = {
        "slabkitPickId": [f"id-{number}" for number in range(len(rows))],
        "slabkitTomogram": runs,
        "slabkitX": x,
        "slabkitY": y,
        "slabkitZ": z,
        "slabkitScore": score,
        "slabkitSpecies": species,
    }
    tomograms = make_table(
        TOMOGRAMS, {"slabkitTomogram": sorted(set(runs)), "slabkitVoxelSize": 10.012}
    )
    return PickList(make_table(PICKS, columns | extra), tomograms)


def test_tomograms_of_a_project(project: str, tmp_path: Path) -> None:
    found = list_tomograms([project], reading=Reading(voxel_size=10), tomo_type="wbp")
    runs = tmp_path / "static" / "ExperimentRuns"
    assert [t.name for t in found] == ["00255", "TS_1", "TS_10"]
    assert found[1].path == runs / "TS_1" / "VoxelSpacing10.000" / "wbp.zarr"
    with pytest.warns(SlabkitWarning, match="10.012 Å, the more precise, is used"):
        table = read_tomograms([project], 10, "wbp")
    assert table["slabkitVoxelSize"].tolist() == [10.012] * 3
    assert table["slabkitTomogramSizeZ"].tolist() == [6] * 3
    with pytest.warns(SlabkitWarning, match="2 of 3 runs have no tomogram denoised at 10 Å"):
        assert [t.name for t in list_tomograms([project], tomo_type="denoised")] == ["TS_1"]
    with pytest.warns(SlabkitWarning, match="2 of 3 runs"):
        only = list_tomograms([project], reading=Reading(voxel_size=7.84))
    assert [(t.name, t.voxel_size) for t in only] == [("TS_10", 7.84)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"denoised at 10 Å \(1 runs\), wbp at 7.84 Å.*say which with --voxel-size and --tomo"),
        ({"reading": Reading(voxel_size=10)}, "say which with --tomo-type"),
        ({"tomo_type": "wbp"}, "say which with --voxel-size"),
        (
            {"reading": Reading(voxel_size=9.97)},
            r"no tomogram at 9.97 Å; there are denoised at 10 Å",
        ),
        (
            {"reading": Reading(voxel_size=10), "tomo_type": "sirt"},
            r"no tomogram sirt at 10 Å; there are",
        ),
    ],
)
def test_which_tomograms_has_to_be_said(project: str, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_tomograms([project], **options)


def test_a_project_of_one_kind_needs_no_options(tmp_path: Path) -> None:
    add_tomogram(tmp_path / "overlay", "TS_1", "7.300", "wbp", 7.3)
    (tmp_path / "overlay" / "ExperimentRuns" / ".hidden").mkdir()
    argument = config(tmp_path, static_root=None)
    assert [t.name for t in list_tomograms([argument])] == ["TS_1"]
    with pytest.raises(InputError, match="--tomo-type is for copick projects"):
        list_tomograms([tmp_path / "overlay"], tomo_type="wbp")


def test_slab_reads_a_project(slabkit: Any, project: str, tmp_path: Path) -> None:
    bad = add_tomogram(tmp_path / "static", "TS_2", "10.000", "wbp", 10.5)
    arguments = ("slab", project, "-o", "slabs", "--voxel-size", 10, "--tomo-type", "wbp")
    done = slabkit(*arguments, "--thickness", 20, code=1)
    assert f"failed: TS_2: {bad}: its header says 10.5 Å per voxel" in done.stderr
    assert "by giving this file itself and --voxel-size" in done.stderr
    slabs = read_slabs(tmp_path / "slabs" / "slabs.star")
    assert slabs["slabkitVoxelSize"].unique().tolist() == [10.012]
    assert sorted(slabs["rlnTomoName"].unique()) == ["00255", "TS_1", "TS_10"]
    assert slabs["slabkitTomogramFile"].iloc[0].endswith("VoxelSpacing10.000/wbp.zarr")


def test_minislabs_from_a_project(slabkit: Any, project: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("tomogram,x,y,z\nTS_1,50,40,30\n00255,30,30,30\n")
    where = ("--tomograms", project, "--voxel-size", 10, "--tomo-type", "wbp")
    done = slabkit("minislab", "p.csv", "-o", "m", "--box", 40, "--depth", 40, *where, "--json")
    assert json.loads(done.stdout)["pixel_size"] == 10.012
    slabkit("convert", "p.csv", "p.star", *where)
    table = read_picks(tmp_path / "p.star").tomograms
    assert table["slabkitVoxelSize"].tolist() == [10.012] * 3


def test_picks_of_a_project(project: str, tmp_path: Path) -> None:
    static, overlay = tmp_path / "static", tmp_path / "overlay"
    add_picks(static, "TS_1", "portal_0_ribosome", run_name=None)
    add_picks(static, "TS_10", "portal_0_ribosome", run_name=None)  # the same bytes
    add_picks(overlay, "TS_1", "ann_7_apo-ferritin")
    opened = open_project(project)
    picks = read_picks(opened.picks()).picks
    assert picks["slabkitTomogram"].tolist() == ["TS_1", "TS_1", "TS_10"]
    assert picks["slabkitSpecies"].tolist() == ["apo-ferritin", "ribosome", "ribosome"]
    assert picks["user_id"].tolist() == ["ann", "portal", "portal"]
    assert picks["instance_id"].tolist() == ["3"] * 3
    assert picks["slabkitScore"].tolist() == [0.5] * 3
    assert len(opened.picks(objects=["ribosome"], users=["portal"])) == 2
    assert len(opened.picks(sessions=["7"])) == 1
    with pytest.raises(InputError, match="no such picks; there are apo-ferritin by ann, session 7"):
        opened.picks(objects=["proteasome"])
    add_picks(overlay, "TS_10", "ann_7_apo-ferritin", run_name="TS_1")
    with pytest.warns(SlabkitWarning, match="says that its run is TS_1, and is in .* TS_10"):
        moved = read_picks(opened.picks(objects=["apo-ferritin"])).picks
    assert moved["slabkitTomogram"].tolist() == ["TS_1", "TS_10"]
    odd = overlay / "ExperimentRuns" / "TS_10" / "Picks" / "notes.json"
    odd.write_text("{}")
    with pytest.raises(InputError, match=r"not named USER_SESSION_OBJECT\.json"):
        opened.picks()


def test_a_project_where_a_list_is_wanted(slabkit: Any, project: str) -> None:
    done = slabkit("score", project, project, code=2)
    assert f"make a list of its picks first: slabkit convert {project} picks.star" in done.stderr


def test_picks_go_out_and_come_back(project: str, tmp_path: Path) -> None:
    rows = [
        ("TS_1", "ribosome", 1.25, 2.0, 3.0, 0.75),
        ("TS_1", "apo-ferritin", 4.0, 5.0, 6.0, float("nan")),
        ("00255", "ribosome", 7.0, 8.0, 9.0, -2.0),
    ]
    picks = pick_list(*rows, instance_id=["4", "", "2"])
    opened = open_project(project)
    files = plan_project_picks(opened, picks, "slabkit", "1")
    runs = tmp_path / "overlay" / "ExperimentRuns"
    assert sorted(files) == [
        runs / "00255" / "Picks" / "slabkit_1_ribosome.json",
        runs / "TS_1" / "Picks" / "slabkit_1_apo-ferritin.json",
        runs / "TS_1" / "Picks" / "slabkit_1_ribosome.json",
    ]
    require_new(opened, files)
    write_project_picks(files)
    content = json.loads((runs / "00255" / "Picks" / "slabkit_1_ribosome.json").read_text())
    assert {k: content[k] for k in ("user_id", "session_id", "run_name", "unit")} == {
        "user_id": "slabkit",
        "session_id": "1",
        "run_name": "00255",
        "unit": "angstrom",
    }
    assert content["voxel_spacing"] == 10.012
    assert content["trust_orientation"] is False
    assert content["points"][0]["instance_id"] == 2
    assert content["points"][0]["score"] == -2.0
    back = read_picks(opened.picks(users=["slabkit"])).picks.sort_values("slabkitPickId")
    columns = ["slabkitTomogram", "slabkitSpecies", "slabkitX", "slabkitY", "slabkitZ"]
    assert [tuple(row) for row in back[columns].to_numpy().tolist()] == [r[:5] for r in rows]
    np.testing.assert_array_equal(back["slabkitScore"], [r[5] for r in rows])
    assert not list(runs.glob("*/Picks/.*"))


def test_standing_picks_are_never_replaced(project: str, tmp_path: Path) -> None:
    standing = add_picks(tmp_path / "static", "TS_1", "slabkit_1_ribosome")
    before = standing.read_bytes()
    opened = open_project(project)
    picks = pick_list(
        ("00255", "ribosome", 1.0, 2.0, 3.0, 1.0), ("TS_1", "ribosome", 1.0, 2.0, 3.0, 1.0)
    )
    files = plan_project_picks(opened, picks, "slabkit", "1")
    with pytest.raises(
        OutputExistsError, match=r"slabkit_1_ribosome.json: exists already, .*never"
    ):
        require_new(opened, files)
    # Even where one comes there between the look and the writing, all is as it was.
    late = add_picks(tmp_path / "overlay", "TS_1", "slabkit_1_ribosome", points=[])
    empty = late.read_bytes()
    with pytest.raises(OutputExistsError, match="give another --session or --user"):
        write_project_picks(files)
    assert (standing.read_bytes(), late.read_bytes()) == (before, empty)
    assert list((tmp_path / "overlay").rglob("Picks/*")) == [late]


def test_names_that_copick_does_not_allow(project: str) -> None:
    picks = pick_list(("TS_1", "apo_ferritin", 1.0, 2.0, 3.0, 1.0))
    with pytest.warns(SlabkitWarning) as caught:
        files = plan_project_picks(open_project(project), picks, "my_tool", "a b")
    assert [path.name for path in files] == ["my-tool_a-b_apo-ferritin.json"]
    said = " ".join(str(one.message) for one in caught)
    for name in ("'my_tool' was written as 'my-tool'", "'a b'", "'apo_ferritin'"):
        assert name in said


@pytest.mark.parametrize(
    ("run", "species", "message"),
    [
        ("TS_3", "ribosome", r"no run TS_3 among its 3; closest: TS_1"),
        ("TS_1", "ribosom", r"no object ribosom \(closest: ribosome"),
        ("TS_1", "", "no species, and copick needs .* --species"),
    ],
)
def test_what_is_not_of_the_project_stops(
    project: str, run: str, species: str, message: str
) -> None:
    picks = pick_list((run, species, 1.0, 2.0, 3.0, 1.0))
    with pytest.raises(InputError, match=message):
        plan_project_picks(open_project(project), picks, "slabkit", "1")


def test_convert_in_and_out(slabkit: Any, project: str, tmp_path: Path) -> None:
    add_picks(tmp_path / "static", "TS_1", "portal_0_ribosome")
    add_picks(tmp_path / "static", "TS_1", "portal_0_apo-ferritin")
    slabkit("convert", project, "in.star", "--object", "ribosome", "--user", "portal")
    picks = read_picks(tmp_path / "in.star").picks
    assert picks["slabkitSpecies"].tolist() == ["ribosome"]
    out = ("convert", "in.star", project, "--session", "2")
    first = slabkit(*out, "--json")
    assert json.loads(first.stdout)["files"] == 1
    written = tmp_path / "overlay/ExperimentRuns/TS_1/Picks/slabkit_2_ribosome.json"
    before = written.read_bytes()
    again = slabkit(*out).stderr
    assert "finished already" in again
    assert "another --session or --user writes it anew" in again
    assert "--overwrite" not in again
    slabkit("convert", project, "other.star", "--object", "apo-ferritin")
    slabkit("convert", "other.star", project, "--session", "2")  # another object: no harm
    (tmp_path / "in.star").write_text((tmp_path / "in.star").read_text().replace("1.5", "1.6"))
    assert "never replaced; give another --session" in slabkit(*out, code=2).stderr
    assert "leave --overwrite out" in slabkit(*out, "--overwrite", code=2).stderr
    other = "tomogram,species,x,y,z\nTS_1,ribosome,1,2,3\n"
    slabkit("convert", "-", project, "--session", "2", code=2, stdin=other)
    assert written.read_bytes() == before
    done = slabkit("convert", "-", project, "--json", stdin="tomogram,x,y,z\n")
    assert json.loads(done.stdout)["files"] == 0
    slabkit("convert", "in.star", project, "--session", "3", "--user", "ann")
    assert (written.parent / "ann_3_ribosome.json").exists()
    kept = read_picks(tmp_path / "overlay/slabkit/ann_3_ribosome.star").picks
    assert kept["slabkitX"].tolist() == [1.6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.csv", "out.star", "--user", "ann"], "--user is for copick projects"),
        (["in.csv", "out.star", "--tomo-type", "wbp"], "--tomo-type is for tomograms of a copick"),
        (["PROJECT", "PROJECT"], "from one copick project to another"),
        (["in.csv", "PROJECT", "--object", "ribosome"], "give --species NAME"),
        (["in.csv", "PROJECT", "--user", "a", "--user", "b"], "--user is given twice"),
        (["in.csv", "PROJECT", "--to", "csv"], "--to csv does not go with it"),
    ],
)
def test_options_that_contradict(
    slabkit: Any, project: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "in.csv").write_text("tomogram,species,x,y,z\nTS_1,ribosome,1,2,3\n")
    given = [project if argument == "PROJECT" else argument for argument in arguments]
    assert message in slabkit("convert", *given, code=2).stderr
    assert not (tmp_path / "overlay/ExperimentRuns/TS_1").exists()


def test_what_is_elsewhere_needs_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it: tests/clients/test_copick.py."""
    monkeypatch.setitem(sys.modules, "copick", None)
    monkeypatch.setattr(copick_remote, "has_copick", lambda: False)
    needs = r"which is read and written through the copick package: pip install 'slabkit-cryoet\[co"
    add_picks(tmp_path / "overlay", "TS_1", "ann_7_ribosome")
    remote = config(tmp_path, static_root="s3://bucket/project")
    with pytest.raises(
        MissingDependencyError, match=r"static_root is s3://bucket/project, " + needs
    ):
        list_tomograms([remote])
    with pytest.raises(MissingDependencyError, match=needs):
        open_project(remote).picks()
    # Runs that stand there cannot be looked up, and picks go to the overlay all the same.
    picks = pick_list(("TS_99", "ribosome", 1.0, 2.0, 3.0, 1.0))
    with pytest.warns(SlabkitWarning, match="it is not known whether it has these runs"):
        files = plan_project_picks(open_project(remote), picks, "slabkit", "1")
    require_new(open_project(remote), files)
    write_project_picks(files)
    with pytest.raises(OutputExistsError, match="exists already"):
        require_new(open_project(remote), files)
    portal = config(tmp_path, config_type="cryoet_data_portal", static_root=None)
    with pytest.raises(MissingDependencyError, match="of the type cryoet_data_portal, " + needs):
        list_tomograms([portal])
    nowhere = config(tmp_path, overlay_root="ssh://host/data", static_root="gs://b/c")
    both = r"static_root is gs://b/c and its overlay_root is ssh://host/data, "
    with pytest.raises(MissingDependencyError, match=both + needs):
        plan_project_picks(open_project(nowhere), picks, "slabkit", "1")


def test_references_to_what_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = "ExperimentRuns/TS_1/VoxelSpacing10.000/wbp.zarr"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "p.json").write_text("{}")
    reference = make_reference(tmp_path / "here" / "p.json", inner)
    monkeypatch.chdir(tmp_path)
    assert path_for_table(reference) == f"copick:here/p.json::{inner}"
    assert is_there(f"copick:here/p.json::{inner}")
    assert not is_there(f"copick:p.json::{inner}")
    # A table that was written in here/, read from above.
    found = resolve_path(f"copick:p.json::{inner}", tmp_path / "here" / "slabs.star")
    assert found == reference
    assert [t.name for t in list_tomograms([reference])] == ["TS_1"]
    for other in ("copick:p.json", f"p.json::{inner}", "copick:p.json::ExperimentRuns/TS_1"):
        assert not is_reference(other)


def test_roots_as_people_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tomogram(tmp_path / "overlay", "TS_1", "7.300", "wbp", 7.3)
    monkeypatch.chdir(tmp_path)
    for root in ("overlay", "./overlay/", "local://overlay", "file://" + str(tmp_path / "overlay")):
        argument = config(tmp_path, overlay_root=root, static_root=None)
        assert [t.name for t in list_tomograms([argument])] == ["TS_1"], root
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # relative to the project's file
    argument = config(tmp_path, overlay_root="overlay", static_root="overlay")
    assert [t.name for t in list_tomograms([argument])] == ["TS_1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not the JSON file of a copick project"),
        ('{"overlay_root": 3}', "is not the JSON file of a copick project"),
        ('{"overlay_root": "x", "static_root": 3}', "static_root is no text"),
        ('{"overlay_root": "x", "pickable_objects": {}}', "no list of objects with names"),
        ('{"overlay_root": "x"', "is not valid JSON"),
        ('{"overlay_root": "x"}', "has no tomogram \\(x/Exp"),
    ],
)
def test_projects_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=message):
        list_tomograms([f"copick:{tmp_path / 'c.json'}"])
    with pytest.raises(InputError, match="is a folder"):
        open_project(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["overlay_root", "static_root", "config_type", "pickable_objects", "x"]),
        JSON | st.sampled_from(["overlay", "s3://a/b", "local://", "filesystem"]),
    ),
    st.integers(0, 200),
)
def test_damaged_projects_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any], cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / "c.json").write_text(json.dumps(content)[: cut or None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = open_project(folder / "c.json")
            opened.runs()
            opened.picks()
        except SlabkitError:
            pass
