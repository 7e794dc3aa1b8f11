"""A report: ``metrics.json`` (the same bytes for the same flight and model), ``run.json`` (what changes from run to
run), and ``report.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uav_perception.evaluation.errors import EvaluationError
from uav_perception.evaluation.measures import headlines, measure, timing
from uav_perception.evaluation.record import FlightRecord
from uav_perception.evaluation.settings import Settings, file_digest
from uav_perception.files import write_json, write_text
from uav_perception.inference.contract import read_contract
from uav_perception.provenance import provenance

METRICS_FILE, RUN_FILE, HTML_FILE, RECORDS = "metrics.json", "run.json", "report.html", "flights"
SCHEMA_NAME = "uav_perception/evaluation/1"


@dataclass(frozen=True)
class Failure:
    """A recording that could not be evaluated, and why."""

    name: str
    error: str


def model_facts(path: str) -> dict[str, object]:
    """Name, classes and digest of a model file."""
    contract = read_contract(path)
    return {
        "name": contract.name,
        "file": Path(path).name,
        "sha256": file_digest(path),
        "class_names": list(contract.class_names),
        "input": [contract.input_width, contract.input_height],
        "decoder": contract.decoder,
    }


def metrics_document(
    records: Sequence[FlightRecord],
    settings: Settings,
    failures: Sequence[Failure] = (),
    missing: Sequence[str] = (),
    record_files: Sequence[str] = (),
) -> dict[str, object]:
    """The content of ``metrics.json``. No time, path or machine is in it.

    Args:
        records: of the recordings that are done.
        settings: of the run.
        failures: recordings that could not be evaluated.
        missing: recordings that the run did not come to; with any, or with failures, the report is incomplete.
        record_files: names of the records, for ``compare``.
    """
    models = {
        kind: model_facts(path)
        for kind, path in (("detector", settings.model), ("action", settings.action_model))
        if path is not None
    }
    class_names = models.get("detector", {}).get("class_names", [])
    action_names = models.get("action", {}).get("class_names", [])
    return {
        "schema": SCHEMA_NAME,
        "complete": not failures and not missing,
        "not_evaluated": sorted(missing),
        "failed": [vars(f) for f in sorted(failures, key=lambda f: f.name)],
        "models": models,
        "settings": settings.public(),
        "flights": [
            {
                "name": record.name,
                "images": vars(record.accounting) | {"reasons": list(record.accounting.reasons)},
                "warnings": list(record.warnings),
                "measures": headlines(measure([record], class_names, action_names)),
            }
            for record in records
        ],
        "records": list(record_files),
        **measure(records, class_names, action_names),
    }


def run_document(records: Sequence[FlightRecord], wall_s: float | None) -> dict[str, object]:
    """The content of ``run.json``: timing, and what made the report."""
    return {"timing": timing(records, wall_s), "provenance": provenance()}


def write_documents(folder: Path, metrics: dict[str, object], run: dict[str, object], html: str) -> None:
    """Write the three files, each in one step, the numbers first.

    Raises:
        EvaluationError: the disk is full, or the folder cannot be written.
    """
    try:
        write_json(folder / METRICS_FILE, metrics)
        write_json(folder / RUN_FILE, run)
        write_text(folder / HTML_FILE, html)
    except OSError as error:
        raise EvaluationError(
            f"The report in {folder} cannot be written: {error.strerror or error}. What was evaluated is kept in "
            f"{folder / RECORDS}; free some space and run again with --resume."
        ) from error
