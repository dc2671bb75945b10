import json
import re
import subprocess
import sys

import botocore.session
import pytest

from scripts.checks import parity
from scripts.checks.parity import Record, Rule
from scripts.core.errors import CheckFailed
from scripts.core.settings import ROOT

ECS = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html"
ONE = Rule("tests/contract/test_x.py::test_one", "ECS does | this.", ECS, "documented")
OTHER = Rule("tests/contract/test_iam.py::test_other", "IAM does that.", "seen", "assumed")


def test_a_rule_stands_under_its_service():
    assert (ONE.group, OTHER.group) == ("ECS", "IAM")
    assert Rule("tests/contract/test_faults.py::test_a", "x", "nothing", "assumed").group == "All services"
    assert Rule("tests/contract/test_iam.py::test_a", "x", ECS, "assumed", service="KMS").group == "KMS"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (ECS, f"[RunTask]({ECS})"),
        ("https://github.com/a/b/issues/7", "[a/b#7](https://github.com/a/b/issues/7)"),
        (
            "https://docs.aws.amazon.com/x/y/some-page.html",
            "[some-page](https://docs.aws.amazon.com/x/y/some-page.html)",
        ),
        ("IAM guide | a/b#7", "IAM guide \\| [a/b#7](https://github.com/a/b/issues/7)"),
    ],
)
def test_a_source_is_a_link_where_it_can_be(source, shown):
    assert parity.link(source) == shown


def test_the_last_day_counts():
    recorded = [Record("2026-01-01", {ONE.test: "passed"}), Record("2026-02-01", {OTHER.test: "passed"})]
    assert parity.agreed_on(ONE.test, recorded) == "2026-01-01"
    assert parity.agreed_on(ONE.test, []) == "never"
    later = [*recorded, Record("2026-03-01", {ONE.test: "failed"})]
    assert parity.agreed_on(ONE.test, later) == "**differed** on 2026-03-01"


def test_the_tables_say_how_sure_and_since_when(tmp_path):
    (tmp_path / "2026-01-01.json").write_text(json.dumps({"at": "2026-01-01T10:00:00Z", "tests": {ONE.test: "passed"}}))
    text = parity.tables([ONE, OTHER], parity.records(tmp_path))
    assert text.startswith("2 rules: 1 documented, 0 reported, 1 assumed. AWS itself was asked about 1 of them.")
    assert (
        f"| ECS does \\| this. | documented | [RunTask]({ECS}) | [one](../{ONE.test.partition('::')[0]}) | 2026-01-01 |"
        in text
    )
    assert text.index("### ECS") < text.index("### IAM")
    assert parity.documented([ONE, OTHER]) == 1


def test_a_rule_that_is_sure_in_words_of_its_own_is_refused():
    with pytest.raises(CheckFailed, match="'certain' is none of documented"):
        parity.parse([{"test": "t", "does": "d", "source": "s", "sure": "certain"}])


def test_what_is_not_answered_is_named():
    text = parity.missing(
        {
            "ssm": {"answered": 2, "missing": ["CancelCommand"], "others": 3},
            "sqs": {"answered": 1, "missing": [], "others": 0},
        }
    )
    assert text.splitlines()[2:] == [
        "| SQS | 1 | nothing |",
        "| Systems Manager | 2 | `CancelCommand`; 3 on other kinds of things |",
    ]


def test_marks_of_a_class_of_parameters_and_of_a_test_are_read_once(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text(
        "import pytest\n"
        "rule = lambda text: pytest.mark.aws(does=text, source='s', sure='assumed')\n"
        "@rule('first')\n"
        "@rule('second')\n"
        "@pytest.mark.parametrize('n', [1, pytest.param(2, marks=rule('of one'))])\n"
        "def test_a(n): ...\n"
    )
    assert [entry["does"] for entry in collected(tmp_path)] == ["first", "second", "of one"]
    test.write_text("import pytest\n@pytest.mark.aws('does')\ndef test_a(): ...\n")
    with pytest.raises(AssertionError, match="takes does="):
        collected(tmp_path)


def collected(folder):
    """What the plugin writes of the tests in a folder."""
    file = folder / "rules.json"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "scripts.checks.rules",
        "-c",
        ROOT / "pyproject.toml",
    ]
    done = subprocess.run(
        [*command, "--rootdir", folder, folder],
        cwd=ROOT,
        env={"PATH": "", "WINBATCH_RULES": str(file), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


# Botocore's name of a service by the first folder of its API reference.
MODELS = {
    "AWSEC2": "ec2",
    "AWSSimpleQueueService": "sqs",
    "AmazonCloudWatch": "cloudwatch",
    "AmazonCloudWatchLogs": "logs",
    "AmazonECR": "ecr",
    "AmazonECS": "ecs",
    "AmazonS3": "s3",
    "IAM": "iam",
    "STS": "sts",
    "autoscaling": "autoscaling",
    "aws-cost-management": "budgets",
    "kms": "kms",
    "mwaa": "mwaa",
    "resourcegroupstagging": "resourcegroupstaggingapi",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "systems-manager": "ssm",
}


def test_each_page_of_an_api_reference_is_of_an_operation_or_a_shape_that_there_is():
    session = botocore.session.get_session()
    # The page is held to the marks by a check of its own.
    sources = (ROOT / "docs" / "parity.md").read_text()
    found = set(re.findall(r"https://docs\.aws\.amazon\.com/([\w-]+)/\S*?API_(?:budgets_)?(\w+)\.html", sources))
    assert len(found) > 30
    for service, name in sorted(found):
        model = session.get_service_model(MODELS[service])
        assert name in model.operation_names or name in model.shape_names, (service, name)
