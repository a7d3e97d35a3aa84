"""The layout's promises: imports point one way, and the start is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "slabkit"

BASE = {"errors", "names", "units"}
STAGES = {
    "slabs",
    "picking",
    "mapping",
    "merging",
    "minislabs",
    "classification",
    "labels",
    "learning",
    "curation",
    "scoring",
    "simulation",
    "splitting",
}
BELOW = BASE | {"tables", "tomogram", "arrays"}
# What a part may import of slabkit; every part may import from within itself.
ALLOWED = {
    "errors": set(),
    "names": {"errors"},
    "units": {"errors"},
    "arrays": BASE,
    "tables": BASE,
    "tomogram": BASE,
    "pictures": BELOW,
    **dict.fromkeys(STAGES, BELOW),
    "formats": BELOW,
    "execution": BELOW | {"formats", "__init__"},
    "steps": BELOW | STAGES | {"pictures", "formats", "execution", "__init__"},
    "napari": BELOW | {"pictures", "formats", "steps"},
    "review": BELOW | STAGES | {"pictures", "formats", "execution", "steps", "__init__"},
    "cli": BASE | {"tomogram", "steps", "review", "execution", "__init__"},
    "__main__": {"cli"},
}
# Of formats and stages, the command line needs only what options are made of, what steps return,
# and the one way to write text.
CLI_MAY = {
    "slabkit.formats.description",
    "slabkit.formats.picks.context",
    "slabkit.formats.tables.atomic",
    "slabkit.formats.tables.paths",
    "slabkit.scoring",
    "slabkit.splitting",
}
FOREIGN = {
    "mrcfile": {"formats"},
    "starfile": {"formats"},
    "tifffile": {"formats"},
    "zarr": {"formats"},
    "numcodecs": {"formats"},
    "copick": {"formats"},
    "cryosparc": {"formats"},
    "torch": {"arrays"},
    "typer": {"cli"},
    "rich": {"cli"},
    "napari": set(),  # nor what comes with it: slabkit's plug-in gives it plain values
    "npe2": set(),
    "dask": set(),
    "starlette": {"review"},
    "uvicorn": {"review"},
    "sqlite3": {"formats"},
}


def parts():
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        yield path, relative.parts[0].removesuffix(".py")


def imported(path):
    """Every module a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module, node.lineno
            if node.module == "slabkit":
                yield from ((f"slabkit.{alias.name}", node.lineno) for alias in node.names)


def test_imports_point_one_way():
    wrong = []
    for path, part in parts():
        if part == "__init__":
            continue
        assert part in ALLOWED, f"{path}: say in this test what {part} may import"
        for module, line in imported(path):
            if module.split(".")[0] != "slabkit" or (module == "slabkit" and part != "cli"):
                continue
            target = module.split(".")[1] if "." in module else "__init__"
            allowed = target == part or target in ALLOWED[part]
            if part == "cli":
                allowed = allowed or module in CLI_MAY
            if not allowed:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other():
    graph = module_graph()
    while True:  # take away what imports nothing that is left, and what nothing left imports
        needed = {target for found in graph.values() for target in found}
        left = {n: found & set(graph) for n, found in graph.items() if found and n in needed}
        if left == graph:
            break
        graph = left
    assert not graph, f"these import each other: {', '.join(sorted(graph))}"


def module_graph():
    """Which module imports which, wherever in a file the import is."""
    names = {}
    for path, _ in parts():
        dotted = ".".join(("slabkit", *path.relative_to(PACKAGE).with_suffix("").parts))
        names[dotted.removesuffix(".__init__")] = path
    names.pop("slabkit")
    graph = {}
    for name, path in names.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
                found |= inside or {node.module}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = found & set(names) - {name}
    return graph


def test_foreign_libraries_stay_in_their_place():
    wrong = []
    for path, part in parts():
        for module, line in imported(path):
            places = FOREIGN.get(module.split(".")[0])
            if places is not None and part not in places:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_the_library_never_prints_or_exits():
    wrong = []
    for path, part in parts():
        if part == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("print", "exit", "quit", "sys.exit", "os._exit"):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} calls {name}")
    assert not wrong, "\n".join(wrong)


def test_files_stay_small():
    long = [
        f"{path.relative_to(PACKAGE)}: {count} lines"
        for path, _ in parts()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 500
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize(
    "code",
    [
        "import slabkit",
        "import sys, slabkit.cli.main as m; sys.argv = ['slabkit', '--help']\n"
        "try: m.main()\nexcept SystemExit: pass",
    ],
)
def test_starting_imports_nothing_heavy(code):
    script = (
        f"{code}\nimport sys\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'mrcfile', 'tifffile', 'zarr', 'PIL', 'rich'}\n"
        "heavy.add('pydantic')\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_command_imports_no_other_command():
    script = (
        "import sys, slabkit.cli.main as m; sys.argv = ['slabkit', 'map', '--help']\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        "from slabkit.cli.commands import _COMMANDS\n"
        "commands = {name.replace(' ', '_') for name in _COMMANDS}\n"
        "print(sorted(c for c in commands if f'slabkit.cli.{c}' in sys.modules))\n"
        "assert 'pydantic' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['map']"


def test_tools_that_scipy_passes_on_are_loaded_when_used():
    script = (
        "import sys, slabkit.cli.main as m; sys.argv = ['slabkit', '--version']\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        "import numpy, scipy.fft\n"
        "tools = {'numpy.f2py.crackfortran', 'unittest'}\n"
        "print(sorted(tools & set(sys.modules)))\n"
        "print('add_newdoc' in object.__getattribute__(numpy._core._add_newdocs, '__dict__'))\n"
        "numpy.f2py.run_main, numpy.testing.assert_equal\n"
        "print(sorted(tools & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    later = ["[]", "False", "['numpy.f2py.crackfortran', 'unittest']"]
    assert done.stdout.splitlines()[1:] == later


def test_commands_import_only_what_they_need(tmp_path):
    import mrcfile
    import numpy as np

    from slabkit import read_picks, write_labels
    from slabkit.tables import LABELS, make_table

    noise = np.random.default_rng(0).integers(-99, 99, (30, 40, 40)).astype(np.int8)
    with mrcfile.new(tmp_path / "t.mrc", noise) as file:
        file.voxel_size = 10.0
    # In such an order that each step imports no less than the one before.
    steps = {
        "slab t.mrc -o slabs": "pandas scipy",
        "pick blob slabs/slabs.star -o hits.star --diameter 100 --threshold 0.5": "scipy.ndimage "
        "scipy.linalg scipy.sparse scipy.spatial unittest numpy.f2py.crackfortran",
        "map hits.star --slabs slabs/slabs.star -o picks.star": "scipy.ndimage scipy.optimize "
        "tifffile slabkit.formats.volumes.ome_zarr slabkit.formats.volumes.tiff xml",
    }
    alone = {
        "convert picks.star picks.csv": "scipy",
        "curate picks.star labels.star -o kept.star": "scipy",
    }
    always = "rich pydantic PIL zarr copick asyncio sqlite3"
    for lines in (steps, alone):
        if lines is alone:
            first = read_picks(tmp_path / "picks.star").picks["slabkitPickId"].head(1)
            decided = {"slabkitPickId": first, "slabkitDecision": ["accepted"]}
            write_labels(tmp_path / "labels.star", make_table(LABELS, decided))
        script = "import sys, slabkit.cli.main as m\n"
        for line, heavy in lines.items():
            script += (
                f"sys.argv = ['slabkit', *{line.split()!r}]\n"
                "try: m.main()\nexcept SystemExit as stop: assert not stop.code\n"
                f"found = {heavy.split()!r} + {always.split()!r}\n"
                "assert not (found := set(found) & set(sys.modules)), found\n"
            )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_documented():
    import slabkit

    assert sorted(slabkit.__all__) == sorted(set(slabkit.__all__))
    for name in slabkit.__all__:
        value = getattr(slabkit, name)
        if not isinstance(value, (str, tuple, dict)):
            assert value.__doc__, f"slabkit.{name} has no docstring"
    assert set(slabkit.__all__) <= set(dir(slabkit))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = slabkit.nothing
