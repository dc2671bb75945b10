"""What all checks share: settings, the process environment, lanes for their commands."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from scripts.checks.lanes import Lanes
from scripts.core.errors import CheckFailed
from scripts.core.settings import Settings
from scripts.terraform import policy_findings
from scripts.terraform.workspace import terraform_environ
from scripts.tools import browser, checkov, providers, uv


@dataclass(frozen=True)
class Context:
    """What the checks share.

    Attributes:
        settings: of the local environment.
        environ: the process environment of every command.
        lanes: in which commands run.
        stack: of what ends with the run.
    """

    settings: Settings
    environ: Mapping[str, str]
    lanes: Lanes
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def caches(self) -> Path:
        """Give the folder where checks keep what can be made again."""
        return self.settings.cache / "checks"

    @property
    def logs(self) -> Path:
        """Where what commands said stays until the next run."""
        return self.settings.root / "build" / "tests"

    @property
    def terraform(self) -> dict[str, str]:
        """The process environment of Terraform's commands that need no AWS, and where none answers."""
        return terraform_environ(
            self.environ,
            config=providers.config_file(self.settings),
            data=self.caches / "terraform",
            region=self.settings.region,
            endpoint_url="http://127.0.0.1:9",
        )

    def command(self, *arguments: str) -> list[str]:
        """A tool of `.venv`."""
        return [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]]

    def tool(
        self,
        name: str,
        *commands: Sequence[str],
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        """Run a tool's commands one after another; the last line of what they said.

        Args:
            name: of the check, which its log is called by.
            commands: each with its arguments.
            cwd: where; default: the checkout.
            environ: their process environment; default: everybody's.

        Raises:
            CheckFailed: one of them found something; carries what it said.
        """
        log = self.logs / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        for command in commands:
            code = self.lanes.call(command, cwd=cwd or self.settings.root, environ=environ or self.environ, output=log)
            said = log.read_text(encoding="utf-8", errors="replace")
            if code != 0:
                # The same tools by hand say the same, so that one can try it alone.
                raise CheckFailed(f"{said.rstrip()}\n$ {shlex.join(command)}")
        lines = [line for line in said.splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def environment(settings: Settings) -> dict[str, str]:
    """The process environment of all checks: our tools on the search path, caches in the cache folder, no AWS."""
    result = {name: value for name, value in uv.tool_environment(settings).items() if not name.startswith("AWS_")}
    # Hundreds of commands are started, and each would compile what it imports.
    result.pop("PYTHONDONTWRITEBYTECODE", None)
    found = browser.find(settings)
    caches = settings.cache / "checks"
    return result | {
        "TF_CLI_CONFIG_FILE": str(providers.config_file(settings)),
        "CHECKPOINT_DISABLE": "1",
        # Terraform and its provider collect garbage for a quarter of their time, with memory to spare.
        "GOGC": os.environ.get("GOGC", "400"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(caches / "hypothesis"),
        "MPLCONFIGDIR": str(caches / "matplotlib"),
        "RUFF_CACHE_DIR": str(caches / "ruff"),
        # checkov and others would keep something in the user's home.
        "XDG_CACHE_HOME": str(caches / "home"),
        "WINBATCH_CACHE": str(settings.cache),
        **policy_findings.SOURCE_ENVIRONMENT,
        "WINBATCH_CHECKOV": str(checkov.folder(settings) / "bin" / "checkov"),
        **({"WINBATCH_BROWSER": str(found)} if found else {}),
    }
