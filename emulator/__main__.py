"""`python -m emulator serve`: the local AWS in the foreground until SIGTERM."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from pathlib import Path

from emulator.errors import EmulatorError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 1 with one line on standard error when it cannot go on."""
    options = _parser().parse_args(arguments)
    _forget_aws()
    # A command's module is imported when it is needed: moto reads its settings at import, `serve` sets them before.
    try:
        importlib.import_module(options.module).main(options)
    except (EmulatorError, OSError) as error:
        print(f"emulator: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _forget_aws() -> None:
    """Leave nothing of the developer's AWS, in which a profile may be missing or a file broken."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:  # noqa: PLR2004 - TCP's highest
        raise ValueError(text)
    return int(text)


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise ValueError(text)
    return text


def _seconds(text: str) -> float:
    if not 0 <= float(text) <= 86_400:  # noqa: PLR2004 - a day
        raise ValueError(text)
    return float(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve AWS on 127.0.0.1 until SIGTERM")
    serve.set_defaults(module="emulator.serve")
    serve.add_argument("--port", type=_port, required=True, help="port on 127.0.0.1")
    serve.add_argument("--state", type=Path, required=True, help="folder of what dies with the emulator")
    serve.add_argument("--cache", type=Path, required=True, help="folder of what can be made again")
    serve.add_argument("--account", type=_account, default="123456789012", help="AWS account to play (%(default)s)")
    serve.add_argument("--region", default="eu-central-1", help="region of the environment (%(default)s)")
    serve.add_argument(
        "--instance-seconds",
        type=_seconds,
        default=os.environ.get("EMULATOR_INSTANCE_SECONDS", "1.0"),
        help="from the launch of an EC2 instance to its registration with ECS (%(default)s s; on AWS 4 to 8 min)",
    )
    serve.add_argument(
        "--terminate-seconds",
        type=_seconds,
        default=os.environ.get("EMULATOR_TERMINATE_SECONDS", "0.5"),
        help="from the end of an EC2 instance on request to its being terminated (%(default)s s; on AWS minutes)",
    )
    serve.add_argument(
        "--no-airflow",
        dest="airflow",
        action="store_false",
        help="MWAA environments come and go without an Airflow behind them, where only their AWS side matters",
    )

    serve.add_argument(
        "--identity",
        choices=("off", "observe", "enforce"),
        default="enforce",
        help="whether IAM decides each call: not at all, to be looked at only, or for good (%(default)s)",
    )

    serve.add_argument(
        "--check-answers",
        action="store_true",
        help="hold each answer to AWS's model of it, and log an error for whatever the model does not have",
    )

    airflow = commands.add_parser("install-airflow", help="make the Airflow environment of a version ahead of time")
    airflow.set_defaults(module="emulator.mwaa.environment_builder")
    airflow.add_argument("--version", help="Airflow version, such as 3.2.1; without it, every version that there is")
    airflow.add_argument("--cache", type=Path, required=True, help="folder of what can be made again")

    wine = commands.add_parser("install-wine", help="make what Windows containers need ahead of time")
    wine.set_defaults(module="emulator.ecs.windows.installation")
    wine.add_argument("--cache", type=Path, required=True, help="folder of what can be made again")

    operations = commands.add_parser("operations", help="say as JSON which operations of AWS are answered")
    operations.set_defaults(module="emulator.coverage")
    return parser


if __name__ == "__main__":
    sys.exit(main())
