"""``slabkit classify minislabs.star -o classes --classes 50``: minislabs to 2D classes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slabkit.cli.options import common
from slabkit.errors import InputError

if TYPE_CHECKING:
    from slabkit.classification import Classification
    from slabkit.formats.particle_images import ParticleImages

_SHOWN = 12


def classify(
    table: Annotated[
        str,
        typer.Argument(
            metavar="MINISLABS",
            help="minislabs.star, or any particle STAR of RELION; - for standard input.",
            show_default=False,
        ),
    ],
    out: common.OutFolder,
    classes: Annotated[int, typer.Option(min=1, metavar="K", help="How many classes.")] = 50,
    iterations: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="The first half compares coarsely, the second finely."
        ),
    ] = 25,
    angular_step: Annotated[
        float, typer.Option(metavar="DEGREES", help="Step of in-plane rotations.")
    ] = 6.0,
    shift_range: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="How far particles may lie from the centre; default: 0.075 of the box.",
            show_default=False,
        ),
    ] = None,
    shift_step: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Step of shifts; default: a fortieth of the box, at least a pixel.",
            show_default=False,
        ),
    ] = None,
    diameter: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Of the circular mask; default: 0.68 of the box.",
            show_default=False,
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(
            metavar="Å",
            help="Finest detail compared; default: a twelfth of the box.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another start.")] = 0,
    quality: Annotated[
        float,
        typer.Option(
            metavar="Q",
            help="Classes of this quality and more are marked, as label --auto accepts them.",
        ),
    ] = common.GOOD_QUALITY,
    contrast: Annotated[
        str | None,
        typer.Option(
            "--contrast",
            metavar="dark|bright",
            help="How protein looks in the images; default: bright in stacks, in galleries as "
            "their table says.",
            show_default=False,
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            metavar="Å", help="Where the table's optics do not say it.", show_default=False
        ),
    ] = None,
    device: common.Device = "cpu",
    overwrite: common.Overwrite = False,
    jobs: common.Jobs = 0,
    quiet: common.Quiet = False,
    json_: common.Json = False,
) -> None:
    """Sort minislabs into 2D classes, whatever their in-plane rotation and shift.

    Writes classes.png (numbered averages, the best first, with size, resolution and quality),
    classes.mrcs, classes.star, and classified.star: the table with each image's class, angle, shift
    and probability, as RELION names them. Choose classes with slabkit label.

    Quality is s / (1 + s), where s is signal over noise in the average, as far as its members bear
    it out. Lengths are in Å.
    """
    if out == "-":
        raise InputError("-o takes a folder here: a classification is several files.")
    from slabkit.classification import ClassificationSettings
    from slabkit.formats.particle_images import read_particle_images

    settings = ClassificationSettings(
        classes=classes,
        iterations=iterations,
        angular_step=angular_step,
        shift_range=shift_range,
        shift_step=shift_step,
        diameter=diameter,
        resolution=resolution,
        seed=seed,
    )
    if not 0 <= quality <= 1:
        raise InputError(f"--quality must be from 0 to 1, not {quality:g}.")
    if pixel_size is not None:
        common.positive(pixel_size, "--pixel-size")
    images = read_particle_images(
        table, contrast=common.parse_contrast(contrast), pixel_size=pixel_size
    )
    folder = Path(out)
    with common.Step(
        "classify",
        str(folder / "classified.star"),
        inputs=[table, *images.files],
        text_inputs={"-": images.particles.to_csv()} if table == "-" else None,
        parameters={
            **vars(settings),
            "quality": quality,
            "contrast": contrast,
            "pixel_size": pixel_size,
            "device": device,
        },
        overwrite=overwrite,
        quiet=quiet,
        json_=json_,
    ) as step:
        if not step.finished:
            step.check_free([folder / f"classes{end}" for end in (".mrcs", ".star", ".png")])
            with _Progress(quiet) as progress:
                result = _classified(images, settings, device, common.worker_count(jobs), progress)
            _warn(result, images, classes, table)
            _write(step, result, images, folder, quality)
            _show(step, result, quality)


def _classified(
    images: ParticleImages, settings: Any, device: str, jobs: int, progress: _Progress
) -> Classification:
    from slabkit.classification import classify_images

    return classify_images(
        images, images.pixel_size, settings, device=device, jobs=jobs, progress=progress
    )


class _Progress:
    """A bar with the iteration, the likelihood and the time left, where a person watches."""

    def __init__(self, quiet: bool) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._what = ""
        if quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int, log_likelihood: float | None) -> None:
        if self._bar is None:
            return
        if what != self._what:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._what, self._task = what, self._bar.add_task(what, total=total)
        text = what
        if log_likelihood is not None:
            text = f"iteration {done}, log-likelihood {log_likelihood:.2f} an image"
        self._bar.update(self._task, completed=done, total=total, description=text)


def _warn(result: Classification, images: ParticleImages, asked: int, table: str) -> None:
    import warnings

    from slabkit.errors import SlabkitWarning

    left_out = int((result.class_number == 0).sum())
    if left_out:
        warnings.warn(
            f"{table}: {left_out} of {len(images)} images are constant or have values that are "
            "not finite; they are in no class (0).",
            SlabkitWarning,
            stacklevel=2,
        )
    usable = len(images) - left_out
    if usable < asked:
        warnings.warn(
            f"{table}: has {usable} images, so {asked} classes cannot be made of them.",
            SlabkitWarning,
            stacklevel=2,
        )


def _write(
    step: common.Step,
    result: Classification,
    images: ParticleImages,
    folder: Path,
    quality: float,
) -> None:
    from slabkit.formats.tables.atomic import atomic_path
    from slabkit.formats.tables.classification import (
        write_averages,
        write_classes,
        write_classified,
    )
    from slabkit.pictures.images import class_sheet, png_bytes

    folder.mkdir(parents=True, exist_ok=True)
    averages, classes, picture = (folder / f"classes{end}" for end in (".mrcs", ".star", ".png"))
    write_averages(averages, result.averages, images.pixel_size)
    write_classes(
        classes,
        averages,
        {
            "rlnClassDistribution": result.size / max(1, result.size.sum()),
            "rlnEstimatedResolution": result.resolution.round(2),
            "slabkitClassSize": result.size,
            "slabkitQuality": result.quality.round(4),
            "slabkitAgreement": result.agreement.round(4),
        },
    )
    sheet = class_sheet(
        result.averages, result.size, result.resolution, result.quality, result.quality >= quality
    )
    with atomic_path(picture) as temporary:
        temporary.write_bytes(png_bytes(sheet))
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
        },
    )
    step.outputs += [averages, classes, picture]


def _show(step: common.Step, result: Classification, quality: float) -> None:
    good = result.quality >= quality
    rows = [
        (number + 1, int(result.size[number]), result.resolution[number], result.quality[number])
        for number in range(min(_SHOWN, len(result.size)))
    ]
    more = len(result.size) - len(rows)
    title = f"the best classes; {more} more in classes.star" if more > 0 else "classes"
    step.table(title, ("class", "images", "resolution Å", "quality"), rows)
    step.summary.update(
        images=len(result.class_number),
        classes=len(result.size),
        good_classes=int(good.sum()),
        images_in_good_classes=int(result.size[good].sum()),
    )
