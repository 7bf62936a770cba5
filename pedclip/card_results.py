"""What evaluations wrote, as a card shows it: a table for the reader, the model-index for the Hub, the subgroups."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult

from pedclip.eval.report import baseline_sentences, markdown_table

PHANTOM = "pedclip/phantom (synthetic)"
# the Hub's names of metrics, by a word of ours
METRIC_TYPES = {"AUC": "roc_auc", "accuracy": "accuracy", "R@": "recall", "MAE": "mae", "Dice": "dice"}
WANTED = "give what `pedclip eval --out`, `pedclip bench`, `make demo` or `make xr` wrote"
OWN_METHOD = "PedCLIP"  # beside baselines, which are no results of this model


def card_changes(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of `CardFacts` that these result files fill."""
    pipeline_tag = "zero-shot-image-classification"  # only a whole model is evaluated
    changes = {"results": results_markdown(results), "eval_results": tuple(model_index(results, pipeline_tag))}
    subgroups = subgroups_markdown(results)
    return changes | ({"subgroups": subgroups} if subgroups else {})


def results_markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """One table of what `pedclip eval`, `bench` and `make demo` wrote, then the whole table of each `make xr`."""
    single = [row for result in results if "fittings" not in result for row in rows_of(result)]
    parts = [results_table(single)] if single else []
    parts += dict.fromkeys(f"> {result['note']}" for result in results if result.get("note"))
    for run in (result for result in results if "fittings" in result):
        parts += [
            markdown_table(run),
            "\n".join(f"- {said}" for said in (*baseline_sentences(run), *run["confounds"])),
        ]
    return "\n\n".join(parts)


def rows_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """This model's numbers in one result file, each with what it was measured on."""
    if not isinstance(result, Mapping):
        raise ValueError(f"a result file holds a {type(result).__name__}; {WANTED}")
    split = result.get("split", "test")
    shared = {"split": split, "data_set": result.get("data_set"), "model_hash": result.get("model_hash")}
    if "task" in result:
        return _complete([{**shared, **result}])
    if isinstance(result.get("tasks"), list):  # of the benchmark; what could not be answered is no result
        if result.get("shuffled_labels"):
            raise ValueError("a result file is the control with shuffled labels, and no result of the model")
        return _complete([{**shared, **entry} for entry in result["tasks"] if "status" not in entry])
    if not isinstance(result.get("rows"), list):
        raise ValueError(f"a result file holds {', '.join(map(repr, list(result)[:5]))}; {WANTED}")
    found = [
        {**shared, **entry, "task": row["title"]}
        for row in result["rows"]
        if row.get("fitting") == result.get("headline_fitting")  # another way to make images square is another model
        for entry in row["entries"]
        if entry["method"] == OWN_METHOD
    ]
    mean = result.get("finding_auc")
    if mean and found:
        said = {"task": "findings", "metric": "mean AUC", "kind": found[-1]["kind"], "chance": found[-1]["chance"]}
        found.append({**shared, **mean, **said})
    for key, task in (("gate_accuracy", "gate"), ("gate_detector", "gate-detector"), ("retrieval_r1", "retrieval")):
        if isinstance(result.get(key), Mapping):
            found.append({**shared, **result[key], "task": task})
    return _complete(found)


def refuse_other_models(results: Iterable[Mapping[str, Any]], own_hash: str) -> bool:
    """ValueError where a result is of a model with another hash; True where all are of this."""
    said = [row.get("model_hash") for result in results for row in rows_of(result)]
    wrong = [one for one in said if one is not None and one != own_hash]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(said)} results are of another model (model_hash {wrong[0][:12]}, and this folder's "
            f"is {own_hash[:12]}); measure this folder, or export the one that was measured"
        )
    return None not in said


def _complete(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        if row.get("leaks", {}).get("found"):
            raise ValueError(
                f"{row.get('task', 'a result')} was measured on what the model was trained on "
                f"({row['leaks']['says']}) and is no result of the model; measure it on images that it has not seen"
            )
        missing = {"task", "kind", "metric", "value", "low", "high", "n"} - row.keys()
        if missing or not math.isfinite(row["value"]):
            raise ValueError(f"a result lacks {', '.join(sorted(missing)) or 'a finite value'}; {WANTED}")
    return rows


def results_table(results: Iterable[Mapping[str, Any]]) -> str:
    """Markdown, each number with its interval, its chance level and its n."""
    header = ["task", "how", "metric", "value", "95 % interval", "chance", "n", "split", "data set"]
    lines = [header, ["---"] * len(header), *(_cells(result) for result in results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(result: Mapping[str, Any]) -> list[str]:
    low, high, chance = result["low"], result["high"], result.get("chance")
    interval = _without(result) if low is None else f"{low:.3f} to {high:.3f}"
    value = f"{result['value']:.3f}" + (" below chance" if result.get("below_chance") else "")
    numbers = [value, interval, "none" if chance is None else f"{chance:.3f}", str(result["n"])]
    where = [str(result["split"]), str(result.get("data_set") or "not named")]
    cells = [str(result["task"]), result["kind"], result["metric"], *numbers, *where]
    return [cell.replace("|", "/") for cell in cells]


def _without(score: Mapping[str, Any]) -> str:
    """Why a score has no interval, where it says so."""
    return f"none: {score['no_interval']}" if score.get("no_interval") else "none"


def model_index(results: Iterable[Mapping[str, Any]], pipeline_tag: str) -> list[EvalResult]:
    """The results as the Hub reads them. An interval has no field there, so it goes with the metric's arguments."""
    found = []
    for row in (row for result in results for row in rows_of(result)):
        name = row.get("data_set") or "not named by its owner"
        kept: dict[str, Any] = {"n": row["n"]}
        if row["low"] is not None:
            kept["interval_95"] = [round(float(end), 4) for end in (row["low"], row["high"])]
        if row.get("patients"):
            kept["patients"] = row["patients"]
        found.append(
            EvalResult(
                task_type=pipeline_tag,
                task_name=row["kind"],
                dataset_type=name.partition(" (")[0].replace(" ", "-").lower(),
                dataset_name=name,
                # results are grouped by it on reading, and would lose their question or their kind otherwise
                dataset_config=f"{row['task']}, {row['kind']}",
                dataset_split=row["split"],
                metric_type=next((kind for word, kind in METRIC_TYPES.items() if word in row["metric"]), "other"),
                metric_name=row["metric"],
                metric_value=round(float(row["value"]), 4),
                metric_args=kept,
            )
        )
    return found


def subgroups_markdown(results: Iterable[Mapping[str, Any]]) -> str | None:
    """A table of the mean AUC over findings by age, and by dose, where the results have them."""
    lines = []
    for result in results:
        for key, title in (("by_age", "age"), ("by_dose", "share of the usual dose")):
            for name, row in result.get(key, {}).items():
                mean = row["finding_auc"]
                interval = _without(mean) if mean["low"] is None else f"{mean['low']:.3f} to {mean['high']:.3f}"
                flag = " below chance" if mean.get("below_chance") else ""
                films = row.get("films", mean["n"])
                lines.append(f"| {title} {name} | {mean['value']:.3f}{flag} | {interval} | {films} |")
    if not lines:
        return None
    return "\n".join(["| subgroup | mean finding AUC | 95 % interval | films |", "|---|---|---|---|", *lines])
