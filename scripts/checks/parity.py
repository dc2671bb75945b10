"""docs/parity.md: the rules of AWS that contract tests hold the emulator to, and what the emulator does not answer.

The rules are the tests' own marks, what is not answered is the emulator's own list, and on what day AWS agreed is what
`invoke verify-aws` has recorded beside the page.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from scripts.checks import generated
from scripts.core.errors import CheckFailed

# Where contract tests are.
TESTS = ("tests/contract", "tests/terraform")
Sure = Literal["documented", "reported", "assumed"]
NEVER = "never"
# Who reads the marks off the collected tests, and what names the file that it writes.
PLUGIN, VARIABLE = "scripts.checks.rules", "WINBATCH_RULES"

# By a part of the source, else of the test's file, else of the rule itself; the first that is found.
_SERVICES: Sequence[tuple[str, str]] = (
    ("/AmazonECS/", "ECS"),
    ("/AmazonECR/", "ECR"),
    ("/autoscaling/", "EC2 Auto Scaling"),
    ("/mwaa/", "MWAA"),
    ("/AmazonS3/", "S3"),
    ("/AmazonCloudWatch", "CloudWatch and its logs"),
    ("/systems-manager/", "Systems Manager"),
    ("/aws-cost-management/", "Budgets"),
    ("/kms/", "KMS"),
    ("/sns/", "SNS and SQS"),
    ("/AWSSimpleQueueService/", "SNS and SQS"),
    ("/IAM/", "IAM"),
    ("/service-authorization/", "IAM"),
    ("/STS/", "IAM"),
    ("/AWSEC2/", "EC2"),
    ("/ec2/", "EC2"),
    ("/vpc/", "EC2"),
    ("autoscaling", "EC2 Auto Scaling"),
    ("capacity", "EC2 Auto Scaling"),
    ("mwaa", "MWAA"),
    ("airflow", "MWAA"),
    ("ecr", "ECR"),
    ("ecs", "ECS"),
    ("containers", "ECS"),
    ("placement", "ECS"),
    ("s3", "S3"),
    ("monitoring", "CloudWatch and its logs"),
    ("logs", "CloudWatch and its logs"),
    ("iam", "IAM"),
    ("identity", "IAM"),
    ("kms", "KMS"),
    ("ec2", "EC2"),
    ("spot", "EC2"),
    ("Auto Scaling", "EC2 Auto Scaling"),
    ("InAutoScalingGroup", "EC2 Auto Scaling"),
    ("SetInstanceProtection", "EC2 Auto Scaling"),
    ("the group", "EC2 Auto Scaling"),
    ("ECS", "ECS"),
    ("RunTask", "ECS"),
    ("ListTasks", "ECS"),
    ("container", "ECS"),
    ("ECR", "ECR"),
    ("S3", "S3"),
    ("EC2", "EC2"),
    ("managed policies", "IAM"),
)
_ELSE = "All services"
_TITLES: Mapping[str, str] = {
    "autoscaling": "EC2 Auto Scaling",
    "budgets": "Budgets",
    "cloudformation": "CloudFormation",
    "cloudwatch": "CloudWatch",
    "ds": "Directory Service",
    "fsx": "FSx",
    "imagebuilder": "EC2 Image Builder",
    "logs": "CloudWatch Logs",
    "resourcegroupstaggingapi": "Resource Groups Tagging",
    "route53resolver": "Route 53 Resolver",
    "secretsmanager": "Secrets Manager",
    "ssm": "Systems Manager",
}
_ISSUE = re.compile(r"https://github\.com/([^/]+/[^/]+)/(?:issues|pull)/(\d+)")
_CALL = re.compile(r"https://docs\.aws\.amazon\.com/.*/API_(?:budgets_)?(\w+)\.html")
_PAGE = re.compile(r"https?://.*/([^/]+?)(?:\.html|\.md)?/?")
# A source that is a GitHub thread in short.
_SHORT = re.compile(r"(?<![\w/])([\w.-]+/[\w.-]+)#(\d+)")


@dataclass(frozen=True)
class Rule:
    """A rule of AWS that a test holds the emulator to.

    Attributes:
        test: its id, without parameters.
        does: what AWS does, one sentence.
        source: where that is written.
        sure: whether AWS documents it, somebody reported it, or we assume it.
        service: whose rule it is; empty: what source and test say.
    """

    test: str
    does: str
    source: str
    sure: Sure
    service: str = ""

    @property
    def group(self) -> str:
        """The heading that it stands under."""
        if self.service:
            return self.service
        for text in (self.source, self.test.partition("::")[0].rpartition("/")[2], self.does):
            for part, service in _SERVICES:
                if part in text:
                    return service
        return _ELSE


@dataclass(frozen=True)
class Record:
    """What came of the tests that ran on AWS once.

    Attributes:
        day: when, `2026-11-30`.
        outcomes: `passed` or `failed` by the test's id, without parameters.
    """

    day: str
    outcomes: Mapping[str, str]


def rules(root: Path) -> list[Rule]:
    """Every rule, in the order of the tests.

    Args:
        root: the checkout.

    Raises:
        CheckFailed: the tests cannot be collected, or a mark is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "aws", "-p", PLUGIN, *TESTS]
        command += ["-p", "no:cacheprovider"]
        done = subprocess.run(
            command,
            cwd=root,
            env={**os.environ, VARIABLE: str(file)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not file.is_file():
            raise CheckFailed(f"the rules of AWS cannot be read off the tests: {(done.stdout + done.stderr).strip()}")
        return parse(json.loads(file.read_text(encoding="utf-8")))


def parse(entries: Iterable[Mapping[str, str]]) -> list[Rule]:
    """Rules of what the plugin wrote.

    Raises:
        CheckFailed: one is not as sure as can be said.
    """
    found = [Rule(**entry) for entry in entries]  # type: ignore[arg-type]  # looked at below
    for rule in found:
        if rule.sure not in get_args(Sure):
            raise CheckFailed(f"{rule.test}: sure={rule.sure!r} is none of {', '.join(get_args(Sure))}")
    return found


def documented(found: Iterable[Rule]) -> int:
    """How many rules somebody else has written down."""
    return sum(rule.sure != "assumed" for rule in found)


def records(folder: Path) -> list[Record]:
    """What `verify-aws` has recorded, oldest first."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    return [Record(day=str(one["at"])[:10], outcomes=one["tests"]) for one in found]


def unanswered(root: Path) -> dict[str, dict[str, Any]]:
    """What the emulator says of each service: `answered`, `missing` and `others`.

    Raises:
        CheckFailed: it does not say.
    """
    command = [sys.executable, "-m", "emulator", "operations"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CheckFailed(f"the emulator does not say what it answers: {done.stderr.strip()}")
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answer


def page(root: Path) -> tuple[Path, str]:
    """The page, and what it should be.

    Raises:
        CheckFailed: it cannot be said.
    """
    file = root / "docs" / "parity.md"
    text = file.read_text(encoding="utf-8")
    text = generated.replaced(text, "rules", tables(rules(root), records(file.parent / "parity")), heading="## Rules")
    return file, generated.replaced(text, "operations", missing(unanswered(root)), heading="## Not emulated")


def tables(found: Sequence[Rule], recorded: Sequence[Record]) -> str:
    """The rules, a table a service, and how many there are of each kind."""
    counts = {sure: sum(rule.sure == sure for rule in found) for sure in get_args(Sure)}
    agreed = sum(agreed_on(rule.test, recorded) != NEVER for rule in found)
    said = ", ".join(f"{count} {sure}" for sure, count in counts.items())
    parts = [f"{len(found)} rules: {said}. AWS itself was asked about {agreed} of them."]
    for group in sorted({rule.group for rule in found}):
        parts += [f"### {group}", _table([rule for rule in found if rule.group == group], recorded)]
    return "\n\n".join(parts)


def agreed_on(test: str, recorded: Sequence[Record]) -> str:
    """The day on which AWS last did what a test says; `never`, or the day on which it did otherwise."""
    outcomes = [(record.day, record.outcomes[test]) for record in recorded if test in record.outcomes]
    if not outcomes:
        return NEVER
    day, outcome = outcomes[-1]
    return day if outcome == "passed" else f"**differed** on {day}"


def missing(services: Mapping[str, Mapping[str, Any]]) -> str:
    """What is not answered, a row a service."""
    rows = []
    for name, one in sorted(services.items(), key=lambda entry: _title(entry[0]).lower()):
        names = ", ".join(f"`{operation}`" for operation in one["missing"])
        rest = f"{one['others']} on other kinds of things" if one["others"] else ""
        rows.append(f"| {_title(name)} | {one['answered']} | {'; '.join(filter(None, (names, rest))) or 'nothing'} |")
    return "\n".join(["| service | operations answered | not answered |", "| --- | ---: | --- |", *rows])


def _table(found: Iterable[Rule], recorded: Sequence[Record]) -> str:
    columns = (
        (_cell(rule.does), rule.sure, link(rule.source), _test(rule.test), agreed_on(rule.test, recorded))
        for rule in found
    )
    rows = [f"| {' | '.join(row)} |" for row in columns]
    head = ["| what AWS does | how sure | source | test | agreed with AWS on |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def link(source: str) -> str:
    """Sources as Markdown: an address by the last of its words, a GitHub thread as people write it."""
    return ", ".join(_link(part) for part in re.split(r"[,;] +(?=\S)", source))


def _link(source: str) -> str:
    if match := _ISSUE.fullmatch(source):
        return f"[{match[1]}#{match[2]}]({source})"
    if match := _CALL.fullmatch(source):
        return f"[{match[1]}]({source})"
    if match := _PAGE.fullmatch(source):
        return f"[{match[1]}]({source})"
    return _SHORT.sub(lambda match: f"[{match[0]}](https://github.com/{match[1]}/issues/{match[2]})", _cell(source))


def _test(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_')}](../{file})"


def _title(name: str) -> str:
    return _TITLES.get(name, name.upper())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
