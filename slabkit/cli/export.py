"""``slabkit export PROGRAM TABLE -o DIR``: what another program imports."""

from __future__ import annotations

import typer

from slabkit.cli.export_cryosparc import cryosparc
from slabkit.cli.export_relion import relion
from slabkit.cli.export_topaz import topaz

app = typer.Typer(
    help="Write what RELION, CryoSPARC or Topaz import: micrographs, coordinates, particles.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="relion")(relion)
app.command(name="cryosparc")(cryosparc)
app.command(name="topaz")(topaz)
