"""A model and minislabs to labels with probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slabkit.errors import InputError
from slabkit.execution.frame import Frame, parameters

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from slabkit.learning import Model
    from slabkit.steps.shared.learning import Minislabs


@dataclass(frozen=True)
class Options:
    """The options of ``slabkit predict``; see also `slabkit.predict_species`."""

    minislabs: str
    model: str
    out: str
    picks: str | None = None
    tomograms: tuple[str, ...] | None = None


def run(options: Options, frame: Frame) -> None:
    """Write a label for every pick, with a probability for each species and for none."""
    from slabkit.formats.models import model_files
    from slabkit.steps.shared.learning import load_model, minislabs_for

    if "-" in (options.minislabs, options.picks):
        raise InputError("predict reads files; only -o may be - here.")
    model = load_model(options.model)
    found = minislabs_for(model, options.model, options.minislabs, options.picks, options.tomograms)
    with frame.work(
        "predict",
        options.out,
        inputs=[options.minislabs, *model_files(options.model), *found.files],
        parameters=parameters(options, "minislabs", "model", "out", "picks", "tomograms"),
    ) as work:
        if work.finished:
            return
        from slabkit.formats.tables.native import write_labels

        labels = predicted_labels(model, found, frame)
        write_labels(options.out, labels)
        decided = labels[labels["slabkitDecision"] == "accepted"]
        counts = decided["slabkitSpecies"].value_counts().sort_index()
        work.table(
            f"named by model:{model.id}",
            ("species", "minislabs", "expected right"),
            [
                (
                    name or "particle",
                    int(count),
                    round(float(_sum_of(decided, str(name), model)), 1),
                )
                for name, count in counts.items()
            ],
        )
        work.summary.update(
            minislabs=len(labels),
            accepted=len(decided),
            rejected=len(labels) - len(decided),
            source=f"model:{model.id}",
        )


def predicted_labels(model: Model, found: Minislabs, frame: Frame) -> pd.DataFrame:
    """Give the label table of a model's predictions."""
    from slabkit.learning import predict_species

    with frame.reporter.progress() as show:
        probability, code = predict_species(
            model,
            found.boxes(),
            tomograms=found.table["slabkitTomogram"].tolist(),
            further=found.further_of(model, frame.workers),
            jobs=frame.workers,
            progress=lambda what, done, total: show(what, done, total, what),
        )
    return label_table(model, found.table["slabkitPickId"], probability, code)


def label_table(
    model: Model,
    ids: pd.Series,
    probability: npt.NDArray[np.float64],
    code: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """Write probabilities as labels: decision, species, and a column a class."""
    import numpy as np

    from slabkit.steps.learn import PARTICLE
    from slabkit.tables import LABELS, MODEL_SOURCE, make_table, probability_column

    names = ["" if name == PARTICLE else name for name in model.classes[:-1]] + [""]
    named = code < len(model.classes) - 1
    score = np.where(named, probability[np.arange(len(code)), code], 1 - probability[:, -1])
    columns = {
        probability_column(name): probability[:, k].round(4) for k, name in enumerate(model.classes)
    }
    return make_table(
        LABELS,
        {
            "slabkitPickId": ids.to_numpy(),
            "slabkitDecision": np.where(named, "accepted", "rejected"),
            "slabkitSpecies": np.array(names, dtype=object)[code],
            "slabkitScore": score.round(4),
            "slabkitScoreKind": "probability",
            "slabkitSource": f"{MODEL_SOURCE}{model.id}",
            **columns,
        },
    )


def _sum_of(decided: pd.DataFrame, species: str, model: Model) -> float:
    own = decided[decided["slabkitSpecies"] == species]
    return float(own["slabkitScore"].sum())
