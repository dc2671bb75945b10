"""Everything that must hold (`make test`), in the order in which it is cheap to find out."""

import datetime as dt
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import actionlint, browser, costs, module_docs, policies, policy_skips, providers, setup, toolchain, uv
from scripts.console import Step, Steps, console
from scripts.errors import CheckFailed, SettingsError
from scripts.settings import Settings
from scripts.terraform import Terraform
from scripts.workspace import terraform_environ

# What ruff and the import checks look at.
PYTHON_FOLDERS = ("scripts", "emulator", "dags", "images", "tests", "terraform/policies", "tasks.py")
YAML_FOLDERS = (".github", ".pre-commit-config.yaml", ".yamllint.yaml", "dags", "terraform/.checkov.yaml")
VERSIONS = "tests/e2e/test_versions.py"

# Of the worker's modules, those that no Windows runs.
_POSIX = frozenset({"guard.py", "template.py"})


@dataclass(frozen=True)
class Context:
    """What the checks share."""

    settings: Settings
    environ: Mapping[str, str]
    airflow: str = ""

    @property
    def caches(self) -> Path:
        return self.settings.cache / "checks"

    def command(self, *arguments: str) -> list[str]:
        """A tool of `.venv`."""
        return [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]]


def run(settings: Settings, only: str = "", airflow: str = "") -> None:
    """Run all checks, or one part of them.

    Args:
        settings: of the local environment.
        only: a part.
        airflow: a version: leave out slow tests of the others.

    Raises:
        SettingsError: there is no such part, or no test of such a version.
        CheckFailed: something was found; its output says what.
    """
    if only and only not in PARTS:
        raise SettingsError(f"--only {only}: there are {', '.join(PARTS)}")
    if airflow and not re.fullmatch(r"\d+\.\d+\.\d+", airflow):
        raise SettingsError(f"--airflow {airflow}: a version of Airflow, such as 3.2.1")
    context = Context(settings, environment(settings), airflow)
    context.caches.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for name in [only] if only else PARTS:
        PARTS[name](context)
    console.print(f"Everything holds, after {time.monotonic() - began:.0f} s.")


def environment(settings: Settings) -> dict[str, str]:
    """The process environment of all checks: our tools on the search path, caches in the cache folder, no AWS."""
    result = {name: value for name, value in uv.tool_environment(settings).items() if not name.startswith("AWS_")}
    found = browser.find(settings)
    caches = settings.cache / "checks"
    return result | {
        "TF_CLI_CONFIG_FILE": str(providers.config_file(settings)),
        "CHECKPOINT_DISABLE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(caches / "hypothesis"),
        "MPLCONFIGDIR": str(caches / "matplotlib"),
        "RUFF_CACHE_DIR": str(caches / "ruff"),
        # checkov and others would keep something in the user's home.
        "XDG_CACHE_HOME": str(caches / "home"),
        "WINBATCH_CACHE": str(settings.cache),
        **policies.SOURCE_ENVIRONMENT,
        "WINBATCH_CHECKOV": str(setup.checkov_folder(settings) / "bin" / "checkov"),
        **({"WINBATCH_BROWSER": str(found)} if found else {}),
    }


def format_all(settings: Settings) -> None:
    """Format Python and Terraform, and write what is generated of it."""
    context = Context(settings, environment(settings))
    with Steps().step("Format") as step:
        _tool(context, step, context.command("ruff", "format", *PYTHON_FOLDERS))
        _tool(context, step, context.command("ruff", "check", "--fix", *PYTHON_FOLDERS))
        _tool(context, step, [str(toolchain.find_terraform(settings)), "fmt", "-recursive", "terraform"])
        pages = _generated(settings)
        for path in _stale(pages):
            path.write_text(pages[path], encoding="utf-8")


def _generated(settings: Settings) -> dict[Path, str]:
    """The pages with generated parts, as they should be."""
    cost = settings.root / "docs" / "cost.md"
    return {**module_docs.pages(settings.terraform_root), cost: costs.page(cost.read_text(encoding="utf-8"))}


def _stale(pages: Mapping[Path, str]) -> list[Path]:
    return [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def _lint(context: Context) -> None:
    root = context.settings.root
    dockerfiles = sorted(str(path) for path in (root / "images").glob("*/Dockerfile"))
    for title, command in (
        ("Python: ruff", context.command("ruff", "check", *PYTHON_FOLDERS)),
        ("Format: ruff", context.command("ruff", "format", "--check", *PYTHON_FOLDERS)),
        ("Dockerfiles: hadolint", context.command("hadolint", *dockerfiles)),
        ("Shell: shellcheck", context.command("shellcheck", "--enable=all", ".ci/run")),
        ("YAML: yamllint", context.command("yamllint", "--strict", *YAML_FOLDERS)),
        ("Workflows: actionlint", actionlint.command(context.settings, ".github/workflows/*.yml")),
        (
            "Workflows: zizmor",
            context.command("zizmor", "--offline", "--persona", "auditor", "--strict-collection", ".github"),
        ),
    ):
        with Steps().step(title) as step:
            _tool(context, step, command)


def _types(context: Context) -> None:
    with Steps().step("Types: mypy") as step:
        _tool(context, step, context.command("mypy", "--cache-dir", str(context.caches / "mypy")))
    runtime = context.settings.root / "dags" / "winbatch"
    files = [runtime / "worker.py", *sorted(path for path in runtime.glob("working/*.py") if path.name not in _POSIX)]
    with Steps().step("Types on Windows: mypy") as step:
        cache = str(context.caches / "mypy-windows")
        command = context.command("mypy", "--platform", "win32", "--cache-dir", cache, *map(str, files))
        _tool(context, step, command)


def _imports(context: Context) -> None:
    with Steps().step("Import directions: import-linter") as step:
        _tool(context, step, context.command("lint-imports", "--cache-dir", str(context.caches / "imports")))


def _terraform(context: Context) -> None:
    settings = context.settings
    terraform = Terraform(
        toolchain.find_terraform(settings),
        settings.terraform_root,
        terraform_environ(
            context.environ,
            config=providers.config_file(settings),
            data=context.caches / "terraform",
            region=settings.region,
            # Nothing answers here: a check that needed AWS would fail.
            endpoint_url="http://127.0.0.1:9",
        ),
    )
    with Steps().step("Terraform: format, validate"):
        unformatted = terraform.fmt_check()
        if unformatted:
            raise CheckFailed(f"not formatted: {', '.join(unformatted.split())}; make format")
        terraform.init(None)
        terraform.validate()
    with Steps().step("Terraform: generated tables"):
        old = _stale(_generated(settings))
        if old:
            names = ", ".join(str(path.relative_to(settings.root)) for path in old)
            raise CheckFailed(f"what is generated in {names} is not what the code says any more: make format")
    with Steps().step("Terraform: native tests") as step:
        step.detail = terraform.test("tests").strip().splitlines()[-1]


def _policies(context: Context) -> None:
    with Steps().step("Policies: exceptions") as step:
        skips = policy_skips.read(context.settings.root)
        problems = policy_skips.problems(skips, dt.datetime.now(dt.UTC).date())
        if problems:
            raise CheckFailed("; ".join(problems))
        first = policy_skips.soonest(skips)
        step.detail = (
            f"{len(skips)}, the next to end is {first.check} on {first.end} ({first.where})" if first else "none"
        )
    with Steps().step("Policies: checkov") as step:
        command = [context.environ["WINBATCH_CHECKOV"], "--config-file", ".checkov.yaml"]
        _tool(context, step, command, cwd=context.settings.terraform_root)


def _fast(context: Context) -> None:
    _pytest(context, "fast tests", ["-m", "not slow", "-n", "2", "--dist", "worksteal"])


def _slow(context: Context) -> None:
    """The slow tests; with one version of Airflow, what is run under it: all of them under the local environment's.

    Two files at a time: they wait for processes and clocks more than they compute.
    """
    arguments = ["-m", "slow", "-n", "2", "--dist", "loadfile"]
    if context.airflow == context.settings.airflow_version:
        arguments += ["--ignore", VERSIONS]
    elif context.airflow:
        arguments += [VERSIONS, "-k", context.airflow]
    _pytest(context, "slow tests", arguments)


def _pytest(context: Context, title: str, arguments: Sequence[str]) -> None:
    console.rule(title)
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={context.caches / 'pytest'}", *arguments]
    done = subprocess.run(command, cwd=context.settings.root, env=dict(context.environ), check=False)
    if done.returncode != 0:
        raise CheckFailed(f"{title} failed; their output above says which")


def _tool(context: Context, step: Step, command: Sequence[str], *, cwd: Path | None = None) -> None:
    """Run a tool quietly; what it says is shown when it finds something."""
    done = subprocess.run(
        command,
        cwd=cwd or context.settings.root,
        env=dict(context.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0:
        console.print(done.stdout, markup=False, soft_wrap=True)
        raise CheckFailed(f"{step.title} found something: {Path(command[0]).name} {' '.join(command[1:3])}")
    step.detail = lines[-1].strip() if lines else ""


PARTS: Mapping[str, Callable[[Context], None]] = {
    "lint": _lint,
    "types": _types,
    "imports": _imports,
    "terraform": _terraform,
    "policies": _policies,
    "fast": _fast,
    "slow": _slow,
}
