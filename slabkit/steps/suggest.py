"""Minislabs with classes or scores, and labels so far, to the minislabs to label next."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slabkit.errors import InputError, warn
from slabkit.execution.frame import Frame, Work, parameters

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.curation import Suggestion
    from slabkit.labels.deciding import ScoreFamily
    from slabkit.learning import Model
    from slabkit.learning.boxes import Boxes

    # Probabilities (minislab, class), the same as labels, rows to label and what each is worth
    _Choice: TypeAlias = tuple[
        npt.NDArray[np.float64], pd.DataFrame, npt.NDArray[np.intp], npt.NDArray[np.float64]
    ]


_EXPLORED = 5  # every so many suggestions one by class or score, beside a model


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit suggest``; see also `slabkit.suggest_labels`."""

    minislabs: str
    out: str
    classified: str | None = None
    picks: str | None = None
    labels: tuple[str, ...] = ()
    number: int = 240
    beta: float = 4.0
    decide: str | None = None
    model: str | None = None
    predicted: str | None = None
    gallery: str | None = None


def run(options: Options, frame: Frame) -> None:
    """Write the suggested minislabs and, where asked for, decisions and galleries."""
    further = {"--decide": options.decide, "--gallery": options.gallery}
    qualities = _qualities(options.classified)
    inputs = _inputs(options, further)
    if qualities is not None:
        inputs.append(str(qualities))
    with frame.work(
        "suggest",
        options.out,
        inputs=inputs,
        parameters={
            **parameters(options, "minislabs", "out", "decide", "gallery", "model", "predicted"),
            **further,
        },
    ) as work:
        if work.finished:
            return
        import pandas as pd

        from slabkit.curation import suggest_labels
        from slabkit.formats.tables.native import read_any_labels, read_minislabs
        from slabkit.tables import LABELS, empty_table, persons_labels

        table, geometry = read_minislabs(options.minislabs)
        # Tilted views of a pick are one decision: the image that was tilted least is shown.
        upright = table.iloc[table["slabkitTilt"].abs().argsort(kind="stable")]
        upright = upright.drop_duplicates("slabkitPickId").sort_index(ignore_index=True)
        candidates = upright[["slabkitPickId", "slabkitTomogram"]].copy()
        if options.classified is not None:
            candidates["slabkitClass"] = _classes(candidates, table, geometry, options.classified)
        depths, kind = None, None
        if options.picks is not None:
            candidates["slabkitScore"], depths, kind = _scores(candidates, options.picks)
        beforehand = _beforehand(candidates, qualities, depths, kind)
        if beforehand is not None:
            candidates["slabkitProbability"] = beforehand
        tables = [read_any_labels(name) for name in options.labels]
        known = pd.concat(tables, ignore_index=True) if tables else empty_table(LABELS)
        own = persons_labels(known)
        if not own.all():
            warn(f"{int((~own).sum())} labels are predictions, not of people; they do not count.")
            known = known[own].reset_index(drop=True)
        asked = None
        if options.model is not None and len(candidates):
            asked = _Asked.of(options, frame)
        joined = beforehand is not None and asked is not None and asked.unnamed
        if joined:
            assert asked is not None
            candidates["slabkitPredicted"] = asked.predicted(candidates["slabkitPickId"], known)
        result = None
        if options.classified is not None or options.picks is not None or not len(candidates):
            result = suggest_labels(candidates, known, count=options.number, beta=options.beta)
        if len(candidates) and not joined and (asked or options.predicted is not None):
            result = _by_probability(candidates, known, result, options, asked)
        assert result is not None
        _write(work, upright, geometry, result, options)
        decisions = result.decisions["slabkitDecision"].value_counts()
        work.summary.update(
            minislabs=len(result.decisions),
            labelled=result.labelled,
            suggested=len(result.order),
            expected_f_beta=result.expected_f_beta,
            would_accept=int(decisions.get("accepted", 0)),
        )


def _inputs(options: Options, further: dict[str, str | None]) -> list[str]:
    """Give the files that are read; refuse options that do not go together."""
    from slabkit.formats.models import model_files
    from slabkit.formats.tables.paths import check_given_once

    check_given_once(options.labels, "label table")
    told = (options.classified, options.picks, options.model, options.predicted)
    if all(one is None for one in told):
        raise InputError(
            "give --classified, --picks or both, --model or --predicted: classes, scores or "
            "probabilities to go by."
        )
    if options.model is not None and options.predicted is not None:
        raise InputError("give --model or --predicted, not both.")
    given = (
        options.minislabs,
        options.classified,
        options.picks,
        options.predicted,
        *options.labels,
    )
    inputs = [name for name in given if name is not None]
    if "-" in inputs or options.decide == "-":
        raise InputError("suggest reads and writes files; only -o may be - here.")
    taken = {os.path.realpath(name) for name in (*inputs, options.out) if name != "-"}
    for option, name in further.items():
        if name is not None and os.path.realpath(name) in taken:
            raise InputError(f"{name}: {option} is an input or -o already.")
    if options.model is not None:
        inputs += map(str, model_files(options.model))
    return inputs


def _by_probability(
    candidates: pd.DataFrame,
    known: pd.DataFrame,
    by_class: Suggestion | None,
    options: Options,
    asked: _Asked | None,
) -> Suggestion:
    """Suggest by what probabilities leave open; every fifth by class or score, if these are given.

    A model cannot be unsure of a species that it was never shown.
    """
    import numpy as np
    import pandas as pd

    from slabkit.curation import Suggestion
    from slabkit.learning.judging import best_thresholds

    known = known[known["slabkitDecision"] != "undecided"]
    known = known.drop_duplicates("slabkitPickId", keep="last")
    ids = candidates["slabkitPickId"]
    known = known[known["slabkitPickId"].isin(ids)]
    labelled = ids.isin(known["slabkitPickId"]).to_numpy()
    if asked is None:
        probability, predicted, rows, gains = _predicted_choice(ids, labelled, options)
    else:
        probability, predicted, rows, gains = asked.choice(ids, labelled, options)
    worth = dict(zip(rows.tolist(), gains.tolist(), strict=True))
    order = rows.tolist()
    if by_class is not None:
        place = {name: row for row, name in enumerate(ids)}
        others = [place[name] for name in by_class.order["slabkitPickId"]]
        mixed = [*order]
        for number, row in enumerate(others[: options.number // _EXPLORED]):
            mixed.insert((number + 1) * _EXPLORED - 1, row)
        order = list(dict.fromkeys(mixed))[: options.number]
    if len(order) < options.number:
        warn(
            f"only {len(order)} minislabs have no label yet, and {options.number} were to be "
            "suggested."
        )
    chosen = np.array(order, dtype=np.intp)
    suggested = candidates.iloc[chosen].assign(
        slabkitSuggestion=np.arange(1, len(chosen) + 1),
        slabkitProbability=1 - probability[chosen, -1],
        slabkitGain=[worth.get(row, 0.0) for row in order],
    )
    predicted = predicted[~predicted["slabkitPickId"].isin(known["slabkitPickId"])]
    decisions = pd.concat([known, predicted], ignore_index=True) if len(known) else predicted
    # F-beta of the best list is 1 + beta² times the least probability in it.
    expected = (1 + options.beta**2) * float(best_thresholds(probability, options.beta).mean())
    return Suggestion(
        suggested.reset_index(drop=True),
        decisions.reset_index(drop=True),
        expected,
        int(labelled.sum()),
    )


@dataclass(frozen=True)
class _Asked:
    """A model, and what it says of the minislabs."""

    model: Model
    boxes: Boxes
    probability: npt.NDArray[np.float64]
    code: npt.NDArray[np.int64]

    @classmethod
    def of(cls, options: Options, frame: Frame) -> _Asked:
        from slabkit.learning import predict_species
        from slabkit.steps.shared.learning import load_model, minislabs_for

        assert options.model is not None
        model = load_model(options.model)
        found = minislabs_for(model, options.model, options.minislabs, options.picks, None)
        boxes = found.boxes()
        probability, code = predict_species(
            model,
            boxes,
            tomograms=found.table["slabkitTomogram"].tolist(),
            further=found.further_of(model, frame.workers),
            jobs=frame.workers,
        )
        return cls(model, boxes, probability, code)

    @property
    def unnamed(self) -> bool:
        """Tell whether it knows particles without species."""
        from slabkit.steps.learn import PARTICLE

        return self.model.classes[:-1] == [PARTICLE]

    def predicted(self, ids: pd.Series, known: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Give the probability of being a particle, of labelled ones as held out.

        NaN of those with a label where it is not known which labels the model had seen.
        """
        import numpy as np

        said = 1 - self.probability[:, -1]
        if not self.model.held_out:  # of a model that says nothing of its labels
            return np.where(ids.isin(known["slabkitPickId"]), np.nan, said)
        held_out = 1 - ids.map(self.model.held_out).to_numpy(dtype=np.float64)
        return np.where(np.isfinite(held_out), held_out, said)

    def choice(self, ids: pd.Series, labelled: npt.NDArray[np.bool_], options: Options) -> _Choice:
        """Give probabilities, as labels too, and which minislabs to label, unlike ones."""
        from slabkit.learning.suggesting import choose_labels
        from slabkit.steps.predict import label_table

        rows, gains = choose_labels(
            self.model, self.boxes, self.probability, labelled, options.number, options.beta
        )
        table = label_table(self.model, ids, self.probability, self.code)
        return self.probability, table, rows, gains


def _predicted_choice(ids: pd.Series, labelled: npt.NDArray[np.bool_], options: Options) -> _Choice:
    """Give probabilities of a table of labels, and which minislabs to label by these alone."""
    import numpy as np
    import pandas as pd

    from slabkit.formats.tables.native import read_any_labels
    from slabkit.learning.suggesting import choose_by_probability
    from slabkit.tables import PROBABILITY

    path = str(options.predicted)
    table = read_any_labels(path).drop_duplicates("slabkitPickId", keep="last")
    none = f"{PROBABILITY}none"
    names = [name for name in table.columns if name.startswith(PROBABILITY) and name != none]
    if not names or none not in table.columns:
        raise InputError(
            f"{path}: has no probabilities of species ({PROBABILITY}...); --predicted takes what "
            "slabkit predict or slabkit name wrote."
        )
    own = table.set_index("slabkitPickId")[[*names, none]].reindex(ids)
    own = own.apply(pd.to_numeric, errors="coerce")
    missing = own.isna().any(axis=1).to_numpy()
    if missing.all():
        raise InputError(f"{path}: has no probabilities of any pick of the minislabs.")
    if missing.any():
        warn(f"{path}: {missing.sum()} minislabs are not in it and are not suggested.")
    own = own.fillna(0.0)
    own.loc[missing, none] = 1.0
    probability = np.asarray(own, dtype=np.float64)
    rows, gains = choose_by_probability(
        probability, labelled | missing, options.number, options.beta
    )
    return probability, table[table["slabkitPickId"].isin(ids)], rows, gains


def _classes(
    candidates: pd.DataFrame, minislabs: pd.DataFrame, geometry: pd.DataFrame, classified: str
) -> list[str]:
    """Give each candidate its class in a result on the minislabs, empty for none."""
    from slabkit.arrays.tiling import GalleryLayout
    from slabkit.formats.results import read_results
    from slabkit.labels import join_results

    layout = GalleryLayout.from_table(geometry.iloc[0].to_dict(), classified)
    found = read_results([classified], minislabs, layout).table
    if "slabkitClass" not in found.columns:
        raise InputError(f"{classified}: has no classes (rlnClassNumber).")
    tile = join_results(found, minislabs, layout).tile
    ids = minislabs["slabkitPickId"].to_numpy(dtype=object)[tile[tile >= 0]]
    if len(found) and not len(ids):
        raise InputError(f"{classified}: none of its rows is one of the minislabs.")
    names = found["slabkitClass"].to_numpy(dtype=object)[tile >= 0]
    classes = dict(zip(ids[::-1], names[::-1], strict=True))  # the first row of a pick counts
    return [classes.get(name, "") for name in candidates["slabkitPickId"]]


def _qualities(classified: str | None) -> Path | None:
    """Give the table of classes that `slabkit classify` writes next to its result."""
    beside = None if classified is None else Path(classified).with_name("classes.star")
    return beside if beside is not None and beside.is_file() else None


def _scores(
    candidates: pd.DataFrame, picks: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], ScoreFamily | None]:
    """Give each candidate its score and z confidence in a pick list, and the kind of all scores."""
    import numpy as np

    from slabkit.labels import score_family
    from slabkit.steps.shared.pick_lists import read_plainly

    table = read_plainly(picks, check_bounds=False).picks
    ids = candidates["slabkitPickId"]
    if len(ids) and not set(table["slabkitPickId"]) & set(ids):
        raise InputError(f"{picks}: has none of the picks of the minislabs.")
    own = table.set_index("slabkitPickId")[["slabkitScore", "slabkitZConfidence"]].reindex(ids)
    score, depth = np.asarray(own, dtype=np.float64).T
    kind = score_family(table["slabkitScoreKind"].unique())
    return score, depth, kind if np.isfinite(score).any() else None


def _beforehand(
    candidates: pd.DataFrame,
    qualities: Path | None,
    depths: npt.NDArray[np.float64] | None,
    kind: ScoreFamily | None,
) -> npt.NDArray[np.float64] | None:
    """Give the probability of each to be a particle by class quality, and by score if of a kind.

    None where neither is known.
    """
    import numpy as np

    from slabkit.formats.tables.classification import read_classes
    from slabkit.labels import candidate_probability

    quality = np.full(len(candidates), np.nan)
    if qualities is not None:
        known = read_classes(qualities)
        if set(candidates["slabkitClass"]) - {"", "0"} - set(known):
            warn(f"{qualities}: is of another classification; the quality of classes is not used.")
        else:
            quality = candidates["slabkitClass"].map(known).to_numpy(dtype=np.float64)
    if kind is None and np.isnan(quality).all():
        return None
    score = candidates["slabkitScore"].to_numpy(dtype=np.float64) if kind else None
    return candidate_probability(quality, score, kind or "blob", depths)


def _write(
    work: Work, upright: pd.DataFrame, geometry: pd.DataFrame, result: Suggestion, options: Options
) -> None:
    from slabkit.formats.tables.native import write_labels, write_minislabs
    from slabkit.formats.tables.paths import resolve_path
    from slabkit.steps.shared.galleries import planned_tile_files, write_tiles

    columns = ["slabkitSuggestion", "slabkitProbability", "slabkitGain"]
    order = result.order[["slabkitPickId", *columns]]
    rows = order.merge(upright, on="slabkitPickId", how="left")[[*upright.columns, *columns]]
    decide = None if options.decide is None else Path(options.decide)
    folder = None if options.gallery is None else Path(options.gallery)
    planned = planned_tile_files(rows, geometry, folder) if folder else []
    images = (resolve_path(str(name), options.minislabs) for name in upright["rlnMicrographName"])
    tables = [folder / "minislabs.star"] if folder else []
    work.check_free(planned, [*([decide] if decide else []), *tables], dict.fromkeys(images))
    if folder:
        work.outputs += write_tiles(rows, geometry, folder, options.minislabs)
    if decide:
        write_labels(decide, result.decisions)
        work.outputs.append(decide)
    write_minislabs(options.out, rows, geometry)
