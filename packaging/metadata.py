"""Checks that the conda recipe and CITATION.cff say what pyproject.toml and slabkit say."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from rattler_build import Stage0Recipe

ROOT = Path(__file__).resolve().parent.parent
project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
version = re.search(r'__version__ = "(.+)"', (ROOT / "slabkit" / "__init__.py").read_text())[1]
recipe = Stage0Recipe.from_file(ROOT / "packaging" / "conda" / "recipe.yaml").to_dict()
(rendered,) = Stage0Recipe.from_file(ROOT / "packaging" / "conda" / "recipe.yaml").render()

wanted = {*project["dependencies"], f"python{project['requires-python']}"}
found = {one.replace(" ", "") for one in recipe["requirements"]["run"]}
if wanted != found:
    sys.exit(f"recipe.yaml and pyproject.toml differ in {sorted(wanted ^ found)}")
if f"\nversion: {version}\n" not in (ROOT / "CITATION.cff").read_text():
    sys.exit(f"CITATION.cff does not give the version {version}")
if str(rendered.recipe.package.version) != version:
    sys.exit(f"recipe.yaml does not give the version {version}")
print(f"package: recipe.yaml and CITATION.cff agree with slabkit {version}")
