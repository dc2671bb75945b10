from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.policies import Call, Verdict, evaluate, like

CALL = Call("123456789012", "s3:GetObject", "arn:aws:s3:::b/k", {"aws:securetransport": "true", "s3:prefix": "a"})


def verdict(*statements):
    base = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    return evaluate(json.dumps({"Statement": [{**base, **statement} for statement in statements]}), CALL)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({}, Verdict.DENIED),
        ({"Effect": "Allow"}, Verdict.ALLOWED),
        ({"Action": "s3:PutObject"}, Verdict.NEUTRAL),
        ({"Action": ["s3:PutObject", "S3:getobject"]}, Verdict.DENIED),
        ({"Resource": "arn:aws:s3:::other/*"}, Verdict.NEUTRAL),
        ({"Resource": "arn:aws:s3:::b/?"}, Verdict.DENIED),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, Verdict.NEUTRAL),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, Verdict.DENIED),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, Verdict.NEUTRAL),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, Verdict.NEUTRAL),
        ({"Condition": {"Bool": {"aws:SecureTransport": True}}}, Verdict.DENIED),
        ({"Condition": {"StringEquals": {"s3:prefix": ["a", "b"]}}}, Verdict.DENIED),
        ({"Condition": {"StringNotEquals": {"s3:prefix": ["a", "b"]}}}, Verdict.NEUTRAL),
        ({"Condition": {"StringEquals": {"no:key": "a"}}}, Verdict.NEUTRAL),
        ({"Condition": {"StringNotEquals": {"no:key": "a"}}}, Verdict.DENIED),
        ({"Condition": {"StringEqualsIfExists": {"no:key": "a"}}}, Verdict.DENIED),
        ({"Condition": {"Null": {"no:key": "true"}}}, Verdict.DENIED),
        ({"Condition": {"Null": {"s3:prefix": "true"}}}, Verdict.NEUTRAL),
        ({"Condition": {"StringLike": {"s3:prefix": "a*"}, "Null": {"s3:prefix": "true"}}}, Verdict.NEUTRAL),
    ],
)
def test_a_statement_applies_when_all_of_it_fits(statement, expected):
    assert verdict(statement) is expected


def test_deny_wins_wherever_it_stands():
    allow, deny = {"Effect": "Allow"}, {}
    assert verdict(allow, deny) is verdict(deny, allow) is Verdict.DENIED


def test_a_condition_that_is_not_known_is_said():
    with pytest.raises(NotImplementedError, match="DateLessThan"):
        verdict({"Condition": {"DateLessThan": {"s3:prefix": "2026-01-01"}}})


@given(st.text(), st.text(), st.text())
def test_a_star_is_any_text_and_everything_else_is_itself(before, middle, after):
    plain = str.maketrans("*?", "__")
    before, after = before.translate(plain), after.translate(plain)
    assert like(f"{before}*{after}", before + middle + after)
    assert like(before, before)
    assert not like(before, before + "x")
