"""One process of Terraform's aws provider for many Terraform commands.

Each command would check the provider's 700 MB by hash and start it anew: eight seconds of processor time, four fifths
of what it takes. Terraform uses a provider that runs already when it is told where, which is its way to debug one
(developer.hashicorp.com/terraform/plugin/debugging).
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from scripts.core.errors import CheckFailed

# Where tests find the provider's program.
VARIABLE = "WINBATCH_TEST_PROVIDER"
_TERRAFORMS = "TF_REATTACH_PROVIDERS"
_SAYS = re.compile(rf"{_TERRAFORMS}='(.*)'")


def find(data: Path) -> Path:
    """The provider's program, as `terraform init` has laid it into a data folder."""
    (program,) = data.glob("providers/*/hashicorp/aws/*/*/terraform-provider-aws_*")
    return program


@contextmanager
def kept(program: Path | None, environ: Mapping[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Keep the provider running; what must be in the environment of Terraform's commands so that they use it.

    Args:
        program: the provider's; None: none is kept, and each command starts its own.
        environ: its process environment, which says where AWS is: it is that of those commands.
        folder: where its log goes.

    Raises:
        CheckFailed: it does not start.
    """
    if program is None:
        yield {}
        return
    with (
        (folder / "provider.log").open("wb") as log,
        subprocess.Popen(
            [str(program), "-debug"],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C is not for it: Terraform asks it to stop what it is at.
            start_new_session=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            said = (match[1] for line in process.stdout if (match := _SAYS.search(line)))
            address = next(said, None)
            if address is None:
                raise CheckFailed(f"Terraform's provider does not start: {folder / 'provider.log'} says why")
            yield {_TERRAFORMS: address}
        finally:
            # It takes its socket away only when it is interrupted.
            process.send_signal(signal.SIGINT)


def for_tests(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The program that tests may keep running; None where the checks have named none."""
    return Path(environ[VARIABLE]) if environ.get(VARIABLE) else None
