"""Job specifications: the files in `dags/jobs/`, each of which becomes a DAG, and the parameters people give them.

A specification names a workload, parameters (JSON Schema each, so that Airflow's form, the command line and the plan
check the same things) and stages. Reading one needs no network.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from winbatch import job_problems, stage_spec, suggesting, values
from winbatch.errors import SpecError
from winbatch.spec_values import COMMON_PARAMETERS, expectation, from_text, refusal, typed
from winbatch.stage_spec import StageSpec

__all__ = ["COMMON_PARAMETERS", "JOBS", "Spec", "load", "load_all", "names", "strays"]

JOBS = Path(__file__).resolve().parent.parent / "jobs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """A job specification.

    Attributes:
        workload: of the stages that name none.
        parameters: a JSON Schema a parameter, the common ones included.
        retry: what it changes of the rules for failures, by kind: `attempts`, and `backoff` in seconds.
    """

    dag: str
    title: str
    description: str
    workload: str
    parameters: Mapping[str, Mapping[str, Any]]
    stages: Sequence[StageSpec]
    retry: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def workloads(self) -> list[str]:
        """The workloads whose images run its stages, each once, in their order."""
        return list(dict.fromkeys(stage.workload for stage in self.stages))

    @property
    def lists(self) -> bool:
        """Whether planning a job has to read the data bucket."""
        return any(stage.lists for stage in self.stages)

    @property
    def defaults(self) -> dict[str, Any]:
        """Give the parameters of a job for which nobody has set any."""
        return {name: schema["default"] for name, schema in self.parameters.items()}

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in defaults, turn text into values, check everything.

        Args:
            given: parameters by name; text is read as the parameter's type, a list as comma-separated values.

        Returns:
            A value for every parameter.

        Raises:
            SpecError: an unknown parameter or a value that its schema refuses, with what would be right.
        """
        unknown = sorted(set(given) - set(self.parameters))
        if unknown:
            meant = suggesting.hint(unknown[0], self.parameters)
            there = ", ".join(sorted(self.parameters))
            raise SpecError(f"{self.dag}: unknown parameter {unknown[0]!r}{meant}; there are {there}")
        taken = self.defaults
        for name, value in given.items():
            schema = self.parameters[name]
            read = from_text(name, value, schema) if isinstance(value, str) else value
            if said := values.problem(read) or refusal(read, schema) or values.problem(typed(read, schema)):
                raise SpecError(f"{self.dag}: parameter {name}: {said}; {expectation(schema)}")
            taken[name] = typed(read, schema)
        if taken["idle_instances"] > taken["max_instances"]:
            raise SpecError(
                f"{self.dag}: idle_instances ({taken['idle_instances']}) is more than max_instances"
                f" ({taken['max_instances']})"
            )
        return taken

    @classmethod
    def parse(cls, content: str | bytes, *, where: str, dag: str = "") -> Self:
        """Read a specification.

        Args:
            content: YAML, in UTF-8.
            where: the file's name, for the error's lines.
            dag: what its DAG has to be called; empty: as it is.

        Raises:
            SpecError: with all that is wrong, each with file and line.
        """
        data = job_problems.read(content, where=where, dag=dag)
        own = {name: values.bounded(schema) for name, schema in data["parameters"].items()}
        return cls(
            dag=data["dag"],
            title=data["title"],
            description=data.get("description", "").strip(),
            workload=data["workload"],
            parameters={**own, **COMMON_PARAMETERS},
            stages=tuple(StageSpec.from_data({"workload": data["workload"], **stage}) for stage in data["stages"]),
            retry=data.get("retry", {}),
        )


def load(dag: str, jobs: Path = JOBS) -> Spec:
    """The specification of one DAG.

    Raises:
        SpecError: there is none of that name, or it is wrong.
    """
    path = jobs / f"{dag}.yaml"
    if not re.fullmatch(stage_spec.NAME, dag) or not path.is_file():
        others = "".join(f"; {problem}" for problem in strays(jobs))
        there = names(jobs)
        raise SpecError(
            f"unknown DAG {dag!r}{suggesting.hint(dag, there)}; there are {', '.join(there) or 'none'}"
            f" (dags/jobs/*.yaml){others}"
        )
    return Spec.parse(path.read_bytes(), where=f"{jobs.name}/{path.name}", dag=dag)


def load_all(jobs: Path = JOBS) -> list[Spec]:
    """All specifications, by name.

    Raises:
        SpecError: with all that is wrong of them, and what lies beside them and is none.
    """
    found = []
    errors = [SpecError(problem) for problem in strays(jobs)]
    for name in names(jobs):
        try:
            found.append(load(name, jobs))
        except SpecError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SpecError(*(problem for error in errors for problem in error.problems), place=jobs.name)
    return found


def names(jobs: Path = JOBS) -> list[str]:
    """The DAGs for which there is a specification, sorted."""
    return sorted(path.stem for path in jobs.glob("*.yaml") if _is_job(path))


def strays(jobs: Path = JOBS) -> list[str]:
    """What lies in the folder and is no specification, a sentence each; hidden files are nobody's."""
    found = sorted(path for path in jobs.glob("*") if not path.name.startswith(".") and path.name != "__pycache__")
    return [
        f"{jobs.name}/{path.name} is no job: a job's file is called as its DAG, by lower-case letters, digits, - and _,"
        " and ends in .yaml; rename it, or take it away"
        for path in found
        if not _is_job(path)
    ]


def _is_job(path: Path) -> bool:
    return re.fullmatch(stage_spec.NAME, path.stem) is not None and path.suffix == ".yaml" and path.is_file()
