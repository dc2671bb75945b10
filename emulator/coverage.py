"""Which operations of AWS the emulator answers: botocore's list of a service, and moto's methods with ours over them.

`python -m emulator operations` prints it as JSON, for the page that says what is not emulated. Nothing is served.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session
from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores

from emulator import s3_requests
from emulator.runtime import SERVICES

# Services that the platform's Terraform and its code call, by botocore's name: moto's name, None where it has none.
USED: Mapping[str, str | None] = {
    "autoscaling": "autoscaling",
    "budgets": "budgets",
    "cloudformation": "cloudformation",
    "cloudwatch": "cloudwatch",
    "ds": "ds",
    "ec2": "ec2",
    "ecr": "ecr",
    "ecs": "ecs",
    "fsx": "fsx",
    "iam": "iam",
    "imagebuilder": None,
    "kms": "kms",
    "logs": "logs",
    "mwaa": None,
    "resourcegroupstaggingapi": "resourcegroupstaggingapi",
    "route53resolver": "route53resolver",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "sts": "sts",
}
_VERB = re.compile(r"^[A-Z][a-z0-9]+")


def main(options: argparse.Namespace) -> None:  # noqa: ARG001 - every command gets them
    """Print the list: service to `answered`, `missing` and `others`, see `of_service`."""
    for name in SERVICES:
        importlib.import_module(name)
    print(json.dumps({name: of_service(name) for name in USED}))  # noqa: T201 - what was asked for


def of_service(name: str) -> dict[str, Any]:
    """What is answered of a service.

    Args:
        name: botocore's.

    Returns:
        `answered`: so many operations; `missing`: the names of those that are not, of kinds of things of which another
        operation is answered; `others`: so many on kinds of things that the emulator does not know at all.
    """
    known = botocore.session.get_session().get_service_model(name).operation_names
    answers = _answers(name)
    answered = [operation for operation in known if answers(operation)]
    kinds = {_kind(operation) for operation in answered}
    lacking = [operation for operation in known if operation not in answered]
    missing = [operation for operation in lacking if _kind(operation) in kinds]
    return {"answered": len(answered), "missing": missing, "others": len(lacking) - len(missing)}


def _answers(name: str) -> Callable[[str], bool]:
    """Whether an operation is answered."""
    if name == "mwaa":
        from emulator.mwaa.responses import MwaaResponse  # noqa: PLC0415 - the one service that is ours alone

        return lambda operation: hasattr(MwaaResponse, camelcase_to_underscores(operation))
    if name == "s3":
        # It answers by the address, and not every operation has a method of its own there.
        return s3_requests.EMULATED.__contains__
    moto = USED[name]
    if moto is None:
        return lambda _: False
    classes = list(_classes(moto))
    return lambda operation: any(_written(made, camelcase_to_underscores(operation)) for made in classes)


def _classes(moto: str) -> Iterator[type]:
    """The classes that answer for a service: ours where there is one, else moto's."""
    importlib.import_module(f"moto.{moto}.responses")
    todo: list[type] = list(BaseResponse.__subclasses__())
    while todo:
        made = todo.pop()
        todo += made.__subclasses__()
        if any(base.__module__.startswith(f"moto.{moto}.") for base in made.__mro__):
            yield made


def _written(made: type, method: str) -> bool:
    """Whether a class has a method that does more than say that it is not written."""
    found = inspect.getattr_static(made, method, None)
    if not inspect.isfunction(found) or hasattr(BaseResponse, method):
        return False
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(found))).body
    assert isinstance(function, ast.FunctionDef)
    last = function.body[-1]
    return not (isinstance(last, ast.Raise) and "NotImplementedError" in ast.unparse(last))


def _kind(operation: str) -> str:
    """What an operation is about, without its verb and in the singular: `Instance` of `DescribeInstances`."""
    return _VERB.sub("", operation).removesuffix("s")
