"""Minislabs to 2D classes: averages, a picture of them, and the table with each image's class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, Work, parameters
from slabkit.steps.shared.naming import (
    Maps,
    captions,
    check_maps,
    depth_of,
    name_columns,
    names_of,
    report_names,
    report_tilts,
)
from slabkit.units import DEFAULT_TILT_RANGE, Contrast, TiltRange, check_tilt_range

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from slabkit.classification import Classification, ClassificationSettings, ClassNames
    from slabkit.formats.particle_images import ParticleImages

GOOD_QUALITY = 0.2
"""Classes of this quality and more are accepted by ``label --auto``."""

_SHOWN = 12
_IMAGES_A_CLASS, _FEWEST_CLASSES, _MOST_CLASSES = 16, 5, 100


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit classify``; see also `slabkit.classify_images`."""

    tables: tuple[str, ...]
    out: str
    classes: int | None = None  # by the number of images
    iterations: int = 25
    angular_step: float = 6.0
    shift_range: float | None = None
    shift_step: float | None = None
    diameter: float | None = None
    resolution: float | None = None
    seed: int = 0
    quality: float = GOOD_QUALITY
    contrast: Contrast | None = None
    pixel_size: float | None = None
    device: str = "cpu"
    device_memory: float | None = None  # GB; None: `slabkit.arrays.backends.DEVICE_MEMORY`
    maps: Maps = ()  # species and file
    tilt_range: TiltRange = DEFAULT_TILT_RANGE  # of the maps
    repeats: int = 1
    sample: int | None = None  # images to learn the classes on; None: all


def default_classes(images: int) -> int:
    """Say into how many classes so many images go (`benchmarks/auto.py`)."""
    return min(_MOST_CLASSES, max(_FEWEST_CLASSES, round(images / _IMAGES_A_CLASS)), max(1, images))


def run(options: Options, frame: Frame) -> None:
    """Classify the images and write the classes."""
    from slabkit.arrays.backends import memory_for
    from slabkit.classification import ClassificationSettings
    from slabkit.formats.joined_images import read_joined_images
    from slabkit.formats.tables.paths import check_given_once

    settings = ClassificationSettings(
        classes=options.classes or 1,
        iterations=options.iterations,
        angular_step=options.angular_step,
        shift_range=options.shift_range,
        shift_step=options.shift_step,
        diameter=options.diameter,
        resolution=options.resolution,
        seed=options.seed,
        sample=options.sample,
    )
    if not 0 <= options.quality <= 1:
        raise InputError(f"--quality must be from 0 to 1, not {options.quality:g}.")
    if options.repeats < 1:
        raise InputError(f"--repeats must be 1 or more, not {options.repeats}.")
    memory_for(options.device, options.device_memory)  # refused before the images are read
    check_maps(options.maps)
    check_tilt_range(options.tilt_range)
    check_given_once(options.tables, "minislabs' table")
    images = read_joined_images(
        options.tables, contrast=options.contrast, pixel_size=options.pixel_size
    )
    where = options.tables[0]
    if len(options.tables) > 1:
        where += f" and {len(options.tables) - 1} more"
    depth = depth_of(images.blocks, where) if options.maps else 0.0
    if options.classes is None:
        learned_on = min(len(images), options.sample or len(images))
        settings = replace(settings, classes=default_classes(learned_on))
    folder = Path(options.out)
    maps_tilted_otherwise = options.maps and options.tilt_range != DEFAULT_TILT_RANGE
    with frame.work(
        "classify",
        folder / "classified.star",
        inputs=[*options.tables, *images.files, *(file for _, file in options.maps)],
        text_inputs={"-": images.particles.to_csv()} if "-" in options.tables else None,
        parameters={
            **parameters(
                options,
                *("tables", "out", "maps", "repeats", "sample", "tilt_range", "device_memory"),
            ),
            **({} if options.sample is None else {"sample": options.sample}),
            **({"repeats": options.repeats} if options.repeats > 1 else {}),
            **({"maps": [name for name, _ in options.maps]} if options.maps else {}),
            **({"tilt_range": options.tilt_range} if maps_tilted_otherwise else {}),
        },
    ) as work:
        if work.finished:
            return
        averages, classes, picture = _files(folder)
        work.check_free([averages, picture], [classes], begin=False)
        result = _classified(images, settings, options, frame)
        _warn(result, images, where, settings)
        names = None
        if options.maps:
            names = names_of(
                result.averages, images.pixel_size, options.maps, depth, options.tilt_range
            )
        _write(work, result, images, folder, options.quality, names)
        _report(work, result, options.quality)
        if names is not None:
            report_tilts(work, options.tilt_range)
            report_names(work, names, result.size)


def _classified(
    images: ParticleImages, settings: ClassificationSettings, options: Options, frame: Frame
) -> Classification:
    from slabkit.arrays.backends import memory_for
    from slabkit.classification import classify_images, with_repeats

    device_memory = memory_for(options.device, options.device_memory)
    repeat = 0
    with frame.reporter.progress() as show:

        def progress(what: str, done: int, total: int, log_likelihood: float | None) -> None:
            text = what
            if log_likelihood is not None:
                text = f"iteration {done}, log-likelihood {log_likelihood:.2f} an image"
            if options.repeats > 1:
                text = f"repeat {repeat + 1} of {options.repeats}: {text}"
            show(f"{what} {repeat}" if repeat else what, done, total, text)

        made = []
        for repeat in range(options.repeats):
            made.append(
                classify_images(
                    images,
                    images.pixel_size,
                    replace(settings, seed=settings.seed + repeat),
                    device=options.device,
                    device_memory=device_memory,
                    jobs=frame.workers,
                    progress=progress,
                )
            )
        return with_repeats(made[0], made[1:]) if len(made) > 1 else made[0]


def _warn(
    result: Classification, images: ParticleImages, table: str, settings: ClassificationSettings
) -> None:
    left_out = int((result.class_number == 0).sum())
    if left_out:
        warn(
            f"{table}: {left_out} of {len(images)} images are constant or have values that "
            "are not finite; they are in no class (0)."
        )
    usable = min(len(images) - left_out, settings.sample or len(images))
    if usable < settings.classes:
        warn(f"{table}: has {usable} images, so {settings.classes} classes cannot be made of them.")


def _files(folder: Path) -> tuple[Path, Path, Path]:
    averages, classes, picture = (folder / f"classes{end}" for end in (".mrcs", ".star", ".png"))
    return averages, classes, picture


def _write(
    work: Work,
    result: Classification,
    images: ParticleImages,
    folder: Path,
    quality: float,
    names: ClassNames | None,
) -> None:
    import pandas as pd

    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.formats.tables.classification import (
        write_averages,
        write_classes,
        write_classified,
    )

    folder.mkdir(parents=True, exist_ok=True)
    averages, classes, picture = _files(folder)
    work.check_free([averages, picture], [classes])
    write_averages(averages, result.averages, images.pixel_size)
    columns = {
        "rlnClassDistribution": result.size / max(1, result.size.sum()),
        "rlnEstimatedResolution": result.resolution.round(2),
        "slabkitClassSize": result.size,
        **({} if result.assigned is None else {"slabkitClassAssigned": result.assigned}),
        "slabkitQuality": result.quality.round(4),
        "slabkitAgreement": result.agreement.round(4),
        **({} if result.stability is None else {"slabkitRepeatShare": result.stability.round(4)}),
        **(name_columns(names) if names is not None else {}),
    }
    sheet = sheet_of(
        result.averages, pd.DataFrame(columns), quality, captions(names) if names else ()
    )
    with atomic_path(picture) as temporary:
        temporary.write_bytes(sheet)
    write_classes(classes, averages, columns)
    write_classified(
        folder / "classified.star",
        images.blocks,
        images.name,
        {
            "rlnClassNumber": result.class_number,
            "rlnAnglePsi": result.angle.round(3),
            "rlnOriginXAngst": result.origin_x.round(3),
            "rlnOriginYAngst": result.origin_y.round(3),
            "rlnMaxValueProbDistribution": result.probability.round(4),
            "rlnLogLikeliContribution": result.log_likelihood.round(4),
            **(
                {}
                if result.repeat_share is None
                else {"slabkitRepeatShare": result.repeat_share.round(4)}
            ),
        },
    )
    work.outputs += [averages, classes, picture]


def sheet_of(
    averages: npt.NDArray[Any], table: pd.DataFrame, quality: float, captions: Sequence[str] = ()
) -> bytes:
    """Draw the picture of the classes of a table; those of a quality are framed."""
    from slabkit.pictures.images import class_sheet, png_bytes

    measured = table["slabkitQuality"].to_numpy(dtype=float)
    sizes = table["slabkitClassSize"].to_numpy(dtype=int)
    resolutions = table["rlnEstimatedResolution"].to_numpy(dtype=float)
    good = measured >= quality
    return png_bytes(class_sheet(averages, sizes, resolutions, measured, good, captions))


def quality_shown(classified: Path) -> float:
    """Give the quality from which the picture of a classification frames classes."""
    from slabkit.execution.records import load_record

    record = load_record(classified)
    shown = None if record is None else record.parameters.get("quality")
    return shown if isinstance(shown, (int, float)) else GOOD_QUALITY


def _report(work: Work, result: Classification, quality: float) -> None:
    good = result.quality >= quality
    if result.stability is not None:
        from slabkit.classification.repeats import UNSTABLE

        unstable = result.stability < UNSTABLE
        work.note(
            f"{int(unstable.sum())} classes with {int(result.size[unstable].sum())} images do not "
            "come again in repeats; their quality is 0"
        )
        work.summary["unstable_classes"] = int(unstable.sum())
    rows: list[tuple[object, ...]] = [
        (number + 1, int(result.size[number]), result.resolution[number], result.quality[number])
        for number in range(min(_SHOWN, len(result.size)))
    ]
    heads = ["class", "images", "resolution Å", "quality"]
    more = len(result.size) - len(rows)
    title = f"the best classes; {more} more in classes.star" if more > 0 else "classes"
    title += f"; {int(good.sum())} good ones with {int(result.size[good].sum())} images"
    if result.assigned is not None:
        assigned = int(result.assigned.sum())
        work.note(
            f"{int(result.size.sum()) - assigned} images were learned on (--sample); the other "
            f"{assigned} were assigned to their classes"
        )
        heads.append("assigned")
        rows = [(*row, int(n)) for row, n in zip(rows, result.assigned, strict=False)]
        work.summary["assigned"] = assigned
    work.table(title, heads, rows)
    work.summary.update(
        images=len(result.class_number),
        classes=len(result.size),
        good_classes=int(good.sum()),
        images_in_good_classes=int(result.size[good].sum()),
    )
