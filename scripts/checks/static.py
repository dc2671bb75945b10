"""Checks that start nothing of ours: lint, types, import directions, Terraform, policies. They run side by side."""

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.checks import costs, job_schema, module_docs, parity, policy_skips, provider
from scripts.checks.context import Context
from scripts.core.errors import CheckFailed
from scripts.core.settings import Settings
from scripts.tools import actionlint, terraform_command
from winbatch import spec
from winbatch.errors import SpecError

# What ruff and the import checks look at.
PYTHON_FOLDERS = ("scripts", "simulation", "emulator", "dags", "images", "tests", "terraform/policies", "tasks.py")
# Job files are read by `check_jobs`: of words as a person writes them a linter has another opinion.
YAML_FOLDERS = (".github", ".pre-commit-config.yaml", ".yamllint.yaml", "terraform/.checkov.yaml")
# `terraform test` works through its files one by one: so many commands share them.
TERRAFORM_TESTS = 4

# Our own checks of the source, and one of checkov's on a variable behind a variable, which checkov has lost before.
TAKE_PART = {f"CKV_WB_{number}" for number in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)} | {"CKV_AWS_65"}

# Of the worker's modules, those that no Windows runs.
_POSIX = frozenset({"guard.py", "template.py"})


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        title: shown when it has ended.
        run: gives a few words on what it saw, or raises CheckFailed.
    """

    title: str
    run: Callable[[], str]


def lint(context: Context) -> list[Check]:
    """Ruff and the linters of other files."""
    dockerfiles = sorted(str(path) for path in (context.settings.root / "images").glob("*/Dockerfile"))
    zizmor = ("zizmor", "--offline", "--persona", "auditor", "--strict-collection", ".github")
    return [
        _tool(context, "Python: ruff", context.command("ruff", "check", *PYTHON_FOLDERS)),
        _tool(context, "Format: ruff", context.command("ruff", "format", "--check", *PYTHON_FOLDERS)),
        _tool(context, "Dockerfiles: hadolint", context.command("hadolint", *dockerfiles)),
        _tool(context, "Shell: shellcheck", context.command("shellcheck", "--enable=all", ".ci/run")),
        _tool(context, "YAML: yamllint", context.command("yamllint", "--strict", *YAML_FOLDERS)),
        Check("Jobs: specifications", partial(check_jobs, context.settings)),
        _tool(context, "Workflows: actionlint", actionlint.command(context.settings, ".github/workflows/*.yml")),
        _tool(context, "Workflows: zizmor", context.command(*zizmor)),
    ]


def types(context: Context) -> list[Check]:
    """Mypy, and once more as on Windows for what runs there."""
    runtime = context.settings.root / "dags" / "winbatch"
    files = [runtime / "worker.py", *sorted(path for path in runtime.glob("working/*.py") if path.name not in _POSIX)]
    here = context.command("mypy", "--cache-dir", str(context.caches / "mypy"))
    cache = str(context.caches / "mypy-windows")
    windows = context.command("mypy", "--platform", "win32", "--cache-dir", cache, *map(str, files))
    return [_tool(context, "Types: mypy", here), _tool(context, "Types on Windows: mypy", windows)]


def imports(context: Context) -> list[Check]:
    """Import directions."""
    command = context.command("lint-imports", "--cache-dir", str(context.caches / "imports"))
    return [_tool(context, "Import directions: import-linter", command)]


def terraform(context: Context) -> list[Check]:
    """Format, validity, generated tables, native tests. Nothing answers for AWS: a check that needed it would fail."""
    settings = context.settings
    binary = str(terraform_command.find_terraform(settings))
    environ = context.terraform
    program = initialise(context)
    # They ask the provider what there is and no more, so they can share one.
    kept = context.stack.enter_context(provider.kept(program, environ, context.logs))
    run = partial(_tool, context, cwd=settings.terraform_root, environ=environ | kept)
    files = sorted((settings.terraform_root / "tests").glob("*.tftest.hcl"), key=_runs, reverse=True)
    parts = [files[part::TERRAFORM_TESTS] for part in range(TERRAFORM_TESTS)]
    return [
        *(
            run(
                f"Terraform: native tests, part {number} of {TERRAFORM_TESTS}",
                [binary, "test", "-no-color", *(f"-filter=tests/{file.name}" for file in some)],
            )
            for number, some in enumerate(parts, 1)
        ),
        run("Terraform: validate", [binary, "validate", "-no-color"]),
        run("Terraform: format", [binary, "fmt", "-check", "-recursive", "-no-color"]),
        Check("Generated tables", partial(_check_generated, settings)),
    ]


def initialise(context: Context) -> Path:
    """Lay out the data folder that all of Terraform's checks stand on; the provider's program in it."""
    binary, root = str(terraform_command.find_terraform(context.settings)), context.settings.terraform_root
    command = [binary, "init", "-input=false", "-no-color", "-backend=false", "-lockfile=readonly"]
    context.tool("terraform-init", command, cwd=root, environ=context.terraform)
    return provider.find(context.caches / "terraform")


def policies(context: Context) -> list[Check]:
    """Checkov and its exceptions."""
    return [
        Check("Policies: checkov", partial(_check_source, context)),
        Check("Policies: exceptions", partial(_check_exceptions, context.settings)),
    ]


PARTS: Mapping[str, Callable[[Context], list[Check]]] = {
    "terraform": terraform,
    "types": types,
    "policies": policies,
    "lint": lint,
    "imports": imports,
}


def format_all(context: Context) -> None:
    """Format Python and Terraform, and write what is generated of it.

    Raises:
        CheckFailed: ruff found what it cannot mend.
    """
    settings = context.settings
    context.tool("format", context.command("ruff", "format", *PYTHON_FOLDERS))
    context.tool("format", context.command("ruff", "check", "--fix", *PYTHON_FOLDERS))
    context.tool("format", [str(terraform_command.find_terraform(settings)), "fmt", "-recursive", "terraform"])
    pages = _generated(settings)
    for path in _stale(pages):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")


def check_jobs(settings: Settings) -> str:
    """Read the job specifications; the DAGs that they make.

    Raises:
        CheckFailed: one is wrong, in the words of `invoke run`.
    """
    try:
        return ", ".join(each.dag for each in spec.load_all(settings.dags / "jobs"))
    except SpecError as error:
        raise CheckFailed(str(error)) from error


def _tool(context: Context, title: str, *commands: list[str], **where: object) -> Check:
    name = re.sub(r"\W+", "-", title.lower())
    return Check(title, partial(context.tool, name, *commands, **where))  # type: ignore[arg-type]  # cwd and environ


def _runs(file: Path) -> int:
    """How much there is to do in a file of native tests."""
    return file.read_text(encoding="utf-8").count('\nrun "')


def _generated(settings: Settings) -> dict[Path, str]:
    """The pages with generated parts, as they should be."""
    cost = settings.root / "docs" / "cost.md"
    return {
        **module_docs.pages(settings.terraform_root),
        cost: costs.page(cost.read_text(encoding="utf-8")),
        **dict([parity.page(settings.root), job_schema.page(settings.root)]),
    }


def _stale(pages: Mapping[Path, str]) -> list[Path]:
    return [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def _check_generated(settings: Settings) -> str:
    old = _stale(_generated(settings))
    if old:
        names = ", ".join(str(path.relative_to(settings.root)) for path in old)
        raise CheckFailed(f"what is generated in {names} is not what the code says any more: make format")
    return ""


def _check_source(context: Context) -> str:
    """Checkov on the source, which must not have lost a check on its way: those listed took part."""
    report = context.logs / "checkov"
    command = [context.environ["WINBATCH_CHECKOV"], "--config-file", ".checkov.yaml", "--soft-fail"]
    command += ["--output", "json", "--output-file-path", str(report)]
    shutil.rmtree(report, ignore_errors=True)
    context.tool("policies-checkov", command, cwd=context.settings.terraform_root)
    found = json.loads((report / "results_json.json").read_text(encoding="utf-8"))
    results, summary = found["results"], found["summary"]
    failed = [
        f"{one['check_id']} {one['resource']} ({one['file_path']}): {one['check_name']}"
        for one in results["failed_checks"]
    ]
    lost = TAKE_PART - {one["check_id"] for one in results["passed_checks"]}
    if failed or lost or summary["parsing_errors"]:
        raise CheckFailed("\n".join([*failed, *(f"{name} took no part" for name in sorted(lost)), str(summary)]))
    return f"{summary['passed']} passed, {summary['skipped']} skipped"


def _check_exceptions(settings: Settings) -> str:
    skips = policy_skips.read(settings.root)
    problems = policy_skips.problems(skips, dt.datetime.now(dt.UTC).date())
    if problems:
        raise CheckFailed("; ".join(problems))
    first = policy_skips.soonest(skips)
    return f"{len(skips)}, the next to end is {first.check} on {first.end} ({first.where})" if first else "none"
