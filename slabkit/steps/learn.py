"""Labelled minislabs to a model of species."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.names import warn_of_spellings
from slabkit.units import DEFAULT_TILT_RANGE, TiltRange

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.learning import Learned
    from slabkit.steps.shared.learning import Minislabs

PARTICLE = "particle"
"""The species of accepted labels, where none of them says one."""

_HARDEST = 24  # minislabs shown


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit learn``; see also `slabkit.learn_species`."""

    minislabs: str
    labels: tuple[str, ...]
    out: str
    picks: str | None = None
    tomograms: tuple[str, ...] | None = None
    maps: tuple[tuple[str, str], ...] = ()
    tilt_range: TiltRange = DEFAULT_TILT_RANGE
    images_only: bool = False
    network: bool = False
    device: str = "cpu"
    beta: float = 4.0
    seed: int = 0


def run(options: Options, frame: Frame) -> None:
    """Learn from the labels, and write the model and a page about it."""
    from slabkit.formats.models import model_files
    from slabkit.steps.shared.learning import Minislabs

    names = [name or Path(file).stem for name, file in options.maps]
    _check(options, names)
    found = Minislabs.find(
        options.minislabs, options.picks, options.tomograms, images=options.images_only
    ).by_image()  # examples are drawn by number, and sums have an order
    main, arrays = model_files(options.out)
    page = Path(options.out) / "report.html"
    with frame.work(
        "learn",
        main,
        inputs=[
            options.minislabs,
            *options.labels,
            *(file for _, file in options.maps),
            *found.files,
        ],
        parameters={
            **parameters(
                options,
                *("minislabs", "labels", "out", "picks", "tomograms", "network", "device"),
            ),
            "maps": names,
            **({"network": True, "device": options.device} if options.network else {}),
        },
    ) as work:
        if work.finished:
            return
        work.check_free([arrays, page], begin=False)
        import numpy as np

        from slabkit.formats.models import write_model
        from slabkit.formats.tables.atomic import write_text
        from slabkit.learning import learn_species
        from slabkit.learning.opinions import training_backend
        from slabkit.learning.packing import pack_model
        from slabkit.steps.shared.maps import read_map

        if options.network:
            training_backend(options.device)  # before the work, not after
        if options.maps and not found.volumes:
            raise InputError(
                "--map is compared with volumes, and they are not at hand; give --picks or "
                "--tomograms."
            )
        if not (found.volumes or options.images_only):
            work.note("the volumes are not at hand: learning from the images alone.")
        species = labelled_species(found.table, options.labels)
        kept = {}
        for name, (_, file) in zip(names, options.maps, strict=True):
            density, voxel_size = read_map(file)
            kept[name] = (np.asarray(density, dtype=np.float32), voxel_size)
        kind = found.kind() | {"tilt_range": options.tilt_range and list(options.tilt_range)}
        rotated = found.rotated(kept, options.tilt_range, frame.workers)
        with frame.reporter.progress() as show:
            learned = learn_species(
                found.boxes(),
                species,
                found.table["slabkitTomogram"].tolist(),
                kind=kind,
                further=found.further(rotated, frame.workers),
                maps=kept,
                network=options.network,
                device=options.device,
                beta=options.beta,
                seed=options.seed,
                jobs=frame.workers,
                progress=lambda what, done, total: show(what, done, total, what),
            )
        turned = next(iter(rotated.values()), ())
        ids = found.table["slabkitPickId"].iloc[learned.rows]
        held_out = dict(zip(ids, learned.probability[:, -1].round(4).tolist(), strict=True))
        description, packed = pack_model(replace(learned.model, rotated=turned, held_out=held_out))
        text = _page(found, learned, options)
        work.check_free([arrays, page])
        write_text(page, text)
        expected = asdict(learned.expected)
        expected |= {name: expected[name].tolist() for name in ("confusion", "bins")}
        write_model(options.out, {**description, "expected": expected}, packed)
        work.outputs += [arrays, page]
        _report(work, learned)
        warn_of_no_rejection(learned.expected.confusion, options.beta)


def _check(options: Options, names: list[str]) -> None:
    """Refuse options that do not go together; ``names``: the species of the maps."""
    from slabkit.formats.tables.paths import check_given_once

    if not options.labels:
        raise InputError("give labels to learn from: --labels TABLE.")
    if not (0 < options.beta < 1000):
        raise InputError(f"--beta must be a positive number, not {options.beta:g}.")
    check_given_once(options.labels, "label table")
    if len(set(names)) < len(names):
        raise InputError("--map names a species twice; give one map a species.")
    if options.maps and options.images_only:
        raise InputError("--map is compared with volumes; leave --images-only or the maps out.")
    if options.device != "cpu" and not options.network:
        raise InputError(
            "--device says where --network trains: give --network, or leave --device out."
        )
    if "-" in (options.minislabs, options.picks, *options.labels):
        raise InputError("learn reads files, not standard input (-).")


def warn_of_no_rejection(confusion: npt.NDArray[np.int64], beta: float) -> None:
    """Warn of a model that rejects nothing; ``confusion`` as in `Expectation`."""
    rejected = int(confusion[-1].sum())
    if rejected and not confusion[-1, -1]:
        warn(
            f"the model rejects none of the {rejected} labelled as no particle: with --beta "
            f"{beta:g} so low a threshold is expected to be best; lower --beta, or label more."
        )


def labelled_species(table: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
    """Give what the labels of people say of each minislab, empty where they say nothing."""
    import pandas as pd

    from slabkit.execution.records import load_record
    from slabkit.formats.tables.native import read_any_labels
    from slabkit.learning import NONE
    from slabkit.tables import persons_labels

    labels = pd.concat([read_any_labels(name) for name in names], ignore_index=True)
    for name in names:
        record = load_record(name)
        if record is not None and record.step == "label" and "quality" in record.parameters:
            warn(
                f"{name}: label --auto decided these by the quality of classes, no person did; "
                "they are learned from as if they were right."
            )
    own = persons_labels(labels)
    if len(labels) > own.sum():
        warn(
            f"{len(labels) - int(own.sum())} labels are predictions, not of people; they are not "
            "learned from."
        )
    labels = labels[own & (labels["slabkitDecision"] != "undecided").to_numpy()]
    said = labels["slabkitSpecies"].where(labels["slabkitDecision"] == "accepted", NONE)
    several = int((said.groupby(labels["slabkitPickId"]).nunique() > 1).sum())
    if several:
        warn(f"{several} picks have labels that contradict each other; the last of each counts.")
    labels = labels.drop_duplicates("slabkitPickId", keep="last")
    if not len(labels):
        raise InputError(f"{names[0]}: holds no label of a person that accepts or rejects a pick.")
    here = labels["slabkitPickId"].isin(table["slabkitPickId"])
    if not here.any():
        raise InputError(
            f"{names[0]}: none of its {len(labels)} labels decides one of the minislabs; are they "
            "of the same pick list?"
        )
    if not here.all():
        warn(f"{int((~here).sum())} labels are of picks that have no minislab here; left out.")
    accepted = (labels["slabkitDecision"] == "accepted").to_numpy()
    named = (labels["slabkitSpecies"] != "").to_numpy()
    if (accepted & named).any():
        if (accepted & ~named).any():
            warn(
                f"{int((accepted & ~named).sum())} accepted labels say no species, as others do; "
                "they are not learned from."
            )
        says = labels["slabkitSpecies"].where(accepted, NONE)
    else:
        says = labels["slabkitSpecies"].where(~accepted, PARTICLE).where(accepted, NONE)
    if (labels["slabkitSpecies"][accepted] == NONE).any():
        raise InputError(f"a species may not be called {NONE}: that is what shows no particle.")
    warn_of_spellings(labels["slabkitSpecies"][accepted], "the labels")
    known = dict(zip(labels["slabkitPickId"], says, strict=True))
    return [known.get(name, "") for name in table["slabkitPickId"]]


def _page(found: Minislabs, learned: Learned, options: Options) -> str:
    """Make the page, with pictures of the labelled minislabs that are hardest to tell."""
    import numpy as np

    from slabkit.formats.particle_images import read_particle_images
    from slabkit.pictures.learning_page import learning_page

    own = learned.probability[np.arange(len(learned.codes)), learned.codes]
    hardest = np.argsort(own, kind="stable")[:_HARDEST]
    rows = learned.rows[hardest]
    images = read_particle_images(found.name).read(found.row[rows])
    classes = learned.model.classes
    captions = [
        f"{classes[code]} | {classes[row.argmax()]} {row.max():.2f}"
        for code, row in zip(learned.codes[hardest], learned.probability[hardest], strict=True)
    ]
    ids = found.table["slabkitPickId"].iloc[rows].tolist()
    tomograms = found.table["slabkitTomogram"].iloc[learned.rows]
    return learning_page(
        learned.expected,
        classes,
        labels=len(learned.rows),
        tomograms=tomograms.nunique(),
        beta=options.beta,
        seen=_seen(learned),
        name=f"model:{learned.model.id}",
        hardest=(images, captions, ids),
    )


def _seen(learned: Learned) -> str:
    seen = str(learned.model.kind["seen"])
    return f"{seen} (also by networks)" if learned.model.networks else seen


def _report(work: Work, learned: Learned) -> None:
    rows: list[dict[str, Any]] = learned.expected.species
    work.table(
        "expected of tomograms that the model has not seen",
        ("species", "labels", "precision", "recall", "F", "from", "to", "threshold"),
        [
            (
                row["species"],
                row["labels"],
                *(row[name] for name in ("precision", "recall", "f_beta")),
                *(row[name] for name in ("f_beta_low", "f_beta_high", "threshold")),
            )
            for row in rows
        ],
    )
    work.summary.update(
        model=f"model:{learned.model.id}",
        seen=_seen(learned),
        labels=len(learned.rows),
        examples=len(learned.model.examples),
        calibration_error=round(learned.expected.calibration_error, 4),
    )
