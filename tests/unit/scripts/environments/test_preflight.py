import io
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from rich.console import Console

from scripts.core.errors import PreflightError
from scripts.core.settings import Settings
from scripts.dag_releases.requirements import check, problems, read_pins
from scripts.environments import preflight
from scripts.environments.doctor.account import identify

STS = SimpleNamespace(
    get_caller_identity=lambda: {"Account": "111111111111", "Arn": "arn:aws:iam::111111111111:user/a"}
)
FIXED = {"apache-airflow": "3.0.6", "celery": "5.5.2"}
CONSTRAINTS = {**FIXED, "boto3": "1.39.0", "pandas": "2.1.4"}


@pytest.fixture
def environment(tmp_path):
    """Environment `odd` with these values."""

    def make(values):
        folder = tmp_path / "terraform" / "environments"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "odd.tfvars").write_text(values)
        return Settings.load("odd", environ={}, root=tmp_path)

    return make


def test_the_wrong_account_is_refused_with_both_named(environment):
    settings = environment('aws_provider = {\n  allowed_account_ids = ["222222222222"] # ours\n}\n')
    line = r"user/a\) are for account 111111111111, and environment odd lives in 222222222222 \(odd\.tfvars\): log in"
    with pytest.raises(PreflightError, match=line):
        identify(settings, STS)


@pytest.mark.parametrize(
    "values",
    ['aws_provider = {\n  allowed_account_ids = [\n    "111111111111",\n  ]\n}\n', "", '# allowed_account_ids = ["2"]'],
)
def test_the_right_account_and_an_environment_that_names_none_go_on(environment, values):
    assert identify(environment(values), STS) == "111111111111"


def test_doubts_name_the_account_the_commit_and_what_differs_from_it(environment):
    sure = environment('aws_provider = {\n  allowed_account_ids = ["111111111111"]\n}\n')
    assert preflight.doubts(sure, "111111111111", "a" * 40, []) == []
    assert "x.tf and 1 more differ from commit aaaaaaaaaaaa" in preflight.doubts(sure, "1", "a" * 40, ["x.tf", "y"])[0]
    assert "has no commit" in preflight.doubts(sure, "1", None, [])[0]
    assert (
        "allowed_account_ids); the credentials are for 111111111111"
        in preflight.doubts(environment(""), "111111111111", "a" * 40, [])[0]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("boto3\napache-airflow==3.0.6\n", None),
        ("apache-airflow==3.1.0", "1: apache-airflow==3.1.0 conflicts with apache-airflow==3.0.6 (MWAA fixes it"),
        ("# first\n\nboto3>=1.40  # newer", "3: boto3>=1.40 conflicts with boto3==1.39.0 (MWAA's constraints say so)"),
        ("-c mine.txt\nboto3==1.40.1", None),
        ("--constraint mine.txt\ncelery==5.4.0", "2: celery==5.4.0 conflicts with celery==5.5.2"),
        ("Pandas[performance]>=2", None),
        ("pandas @ https://x/pandas.whl", "conflicts with pandas==2.1.4"),
        ("pandas==3; python_version < '3.9'", None),
        ("numpy", "1: numpy names no exact version"),
        ("numpy==2.4.6", None),
        ("not a requirement", "1: 'not a requirement' is no requirement"),
    ],
)
def test_what_mwaa_would_refuse_is_found_with_its_line(text, words):
    found = problems(text, FIXED, CONSTRAINTS, internet=True)
    assert bool(found) == bool(words)
    assert not words or words in found[0]


def test_without_a_way_to_the_internet_only_what_mwaa_carries_can_be_had():
    assert "without a way to the internet" in problems("numpy==2.4.6", FIXED, CONSTRAINTS, internet=False)[0]
    assert problems("boto3", FIXED, CONSTRAINTS, internet=False) == []
    wheels = "--find-links /usr/local/airflow/plugins\n--no-index\nnumpy==2.4.6"
    assert problems(wheels, FIXED, CONSTRAINTS, internet=False) == []


def test_the_pins_are_read(tmp_path):
    (tmp_path / "pins").write_text("# MWAA's\nFlask_Login==0.6.3\nx[y]==1.2 ; python_version > '3'\n")
    assert read_pins(tmp_path / "pins") == {"flask-login": "0.6.3", "x": "1.2"}


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_our_own_requirements_would_not_be_refused(environment):
    check(Settings.load(environment, environ={}))


def test_an_airflow_that_mwaa_does_not_run_is_refused():
    class Odd(Settings):
        airflow_version = "3.9.9"

    settings = Settings.load("dev", environ={})
    odd = Odd(**{name: getattr(settings, name) for name in Settings.__dataclass_fields__})
    with pytest.raises(PreflightError, match=r"Airflow 3\.9\.9 is none that MWAA runs .* there are 3\.0\.6"):
        check(odd)


@pytest.mark.parametrize(
    ("terminal", "typed", "refusal"),
    [
        (True, "", "nobody to ask"),
        (False, "yes\n", "nobody to ask"),
        (True, "no\n", "nothing was changed"),
        (True, "Y\n", ""),
    ],
)
def test_a_question_that_nobody_answers_is_a_no(monkeypatch, terminal, typed, refusal):
    monkeypatch.setattr(Console, "is_terminal", terminal)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    settings = Settings.load("dev", environ={})
    with pytest.raises(PreflightError, match=refusal) if refusal else nullcontext():
        preflight.ask("Apply this?", settings)
