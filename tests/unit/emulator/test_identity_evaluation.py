"""IAM's logic, case by case: policies and a call in, a verdict out."""

import json

import pytest

from emulator.identity.conditions import Condition, UnknownOperatorError
from emulator.identity.documents import Caller, compiled, merged
from emulator.identity.evaluation import NOTHING, Ask, Principal, Why, decide, refusal
from emulator.identity.patterns import arn_like, like

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/s"
BUCKET = "arn:aws:s3:::data"


def statement(effect="Allow", action="s3:GetObject", resource="*", **more):
    target = {} if "NotAction" in more else {"Action": action}
    where = {} if "NotResource" in more else {"Resource": resource}
    return {"Effect": effect, **target, **where, **more}


def document(*statements, version="2012-10-17", name="p"):
    return compiled(json.dumps({"Version": version, "Statement": list(statements)}), name)


def principal(*statements, boundary=None, session=None, caller=None, keys=None):
    return Principal(
        caller or Caller(SESSION, ACCOUNT, ROLE),
        "worker",
        document(*statements) if statements else NOTHING,
        boundary,
        session,
        {"aws:principalarn": ROLE, "aws:principalaccount": ACCOUNT, **(keys or {})},
    )


def verdict(who, action="s3:GetObject", resource=f"{BUCKET}/k", policy=None, decides=False, **keys):
    given = {name.replace("__", "/").replace("_", ":", 1).lower(): value for name, value in keys.items()}
    return decide(who, Ask(action, resource, given, policy, policy_decides=decides))


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("*", "anything:at/all", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a*", "a", True),
        ("a.c", "abc", False),
        ("s3:Get*", "s3:GetObject", True),
        ("s3:Get*", "s3:PutObject", False),
        ("a[b]", "ab", False),
        ("line*", "line\nline", True),
    ],
)
def test_wildcards(pattern, value, fits):
    assert like(pattern, value) is fits


@pytest.mark.parametrize(
    ("pattern", "arn", "fits"),
    [
        ("arn:aws:s3:::data/*", "arn:aws:s3:::data/a/b", True),
        ("arn:aws:s3:::data", "arn:aws:s3:::data/a", False),
        ("arn:aws:ecs:*:1:task/c/*", "arn:aws:ecs:eu-central-1:1:task/c/7", True),
        # A wildcard stays within its part, but for the last one.
        ("arn:aws:ecs:*:task/c/*", "arn:aws:ecs:eu-central-1:1:task/c/7", False),
        # One that is too short is completed with wildcards.
        ("arn:aws:ecs:*", "arn:aws:ecs:eu-central-1:1:task/c/7", True),
        ("arn:aws:*:eu:1:x", "arn:aws:sns:eu:1:x", True),
        ("arn:aws:sns:eu:1:*", "arn:aws:sns:eu:1:a:b", True),
        (
            "arn:aws:autoscaling:eu:1:autoScalingGroup:*:autoScalingGroupName/g",
            "arn:aws:autoscaling:eu:1:autoScalingGroup:7-7:autoScalingGroupName/g",
            True,
        ),
        ("arn:aws:logs:eu:1:log-group:/w/*", "arn:aws:logs:eu:1:log-group:/w/x:log-stream:s", True),
        ("arn:aws:logs:eu:1:log-group:/w/x", "arn:aws:logs:eu:1:log-group:/w/x:log-stream:", False),
        ("arn:aws:iam::1:role/a-*", "arn:aws:iam::1:role/path/a-b", False),
    ],
)
def test_arns_are_compared_part_by_part(pattern, arn, fits):
    assert arn_like(pattern, arn) is fits


# Operator, values of the policy, the request's value (None: it has no such key), and whether the condition holds.
OPERATORS = [
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", ["a"], "A", False),
    ("StringEquals", ["a*"], "ab", False),
    ("StringEquals", ["a"], None, False),
    ("StringNotEquals", ["a"], "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", ["a"], None, True),
    ("StringEqualsIgnoreCase", ["A"], "a", True),
    ("StringNotEqualsIgnoreCase", ["A"], "a", False),
    ("StringLike", ["a*"], "ab", True),
    ("StringLike", ["a?"], "abc", False),
    ("StringNotLike", ["a*"], "ba", True),
    ("StringNotLike", ["a*"], "ab", False),
    ("StringNotLike", ["a*"], None, True),
    ("StringEqualsIfExists", ["a"], None, True),
    ("StringEqualsIfExists", ["a"], "b", False),
    ("StringNotEqualsIfExists", ["a"], None, True),
    ("BoolIfExists", ["false"], None, True),
    ("Bool", ["true"], "true", True),
    ("Bool", [True], "true", True),
    ("Bool", ["false"], "true", False),
    ("Bool", ["false"], None, False),
    ("Null", ["true"], None, True),
    ("Null", ["true"], "x", False),
    ("Null", ["false"], "x", True),
    ("Null", ["false"], None, False),
    ("Null", [False], "x", True),
    ("NumericEquals", ["3"], "3.0", True),
    ("NumericNotEquals", ["3"], "4", True),
    ("NumericLessThan", ["3"], "2", True),
    ("NumericLessThan", ["3"], "3", False),
    ("NumericLessThanEquals", [3], "3", True),
    ("NumericGreaterThan", ["3"], "4", True),
    ("NumericGreaterThanEquals", ["3"], "2.9", False),
    ("NumericEquals", ["3"], "three", False),
    ("DateLessThan", ["2026-01-01T00:00:00Z"], "2025-12-31T23:59:59Z", True),
    ("DateGreaterThan", ["2026-01-01T00:00:00Z"], "2025-12-31T23:59:59Z", False),
    ("DateGreaterThanEquals", ["2026-01-01T00:00:00Z"], "1767225600", True),
    ("DateEquals", ["2026-01-01"], "2026-01-01T00:00:00Z", True),
    ("DateNotEquals", ["2026-01-01"], "2026-01-02T00:00:00Z", True),
    ("DateLessThanEquals", ["soon"], "2026-01-02T00:00:00Z", False),
    ("IpAddress", ["10.0.0.0/8"], "10.1.2.3", True),
    ("IpAddress", ["10.0.0.0/8", "192.0.2.1"], "192.0.2.1", True),
    ("IpAddress", ["10.0.0.0/8"], "11.1.2.3", False),
    ("NotIpAddress", ["10.0.0.0/8"], "11.1.2.3", True),
    ("NotIpAddress", ["10.0.0.0/8"], "10.1.2.3", False),
    ("ArnEquals", ["arn:aws:ecs:*:1:cluster/c"], "arn:aws:ecs:eu:1:cluster/c", True),
    ("ArnLike", ["arn:aws:ecs:eu:1:cluster/*"], "arn:aws:ecs:eu:1:cluster/c", True),
    ("ArnLike", ["arn:aws:ecs:*"], "arn:aws:ecs:eu:1:cluster/c", True),
    ("ArnNotLike", ["arn:aws:ecs:eu:1:cluster/*"], "arn:aws:ecs:eu:1:cluster/c", False),
    ("ArnNotEquals", ["arn:aws:ecs:eu:1:cluster/c"], None, True),
    ("BinaryEquals", ["QUJD"], "QUJD", True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
    ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
    ("ForAllValues:StringEquals", ["a"], None, True),
    ("ForAllValues:StringNotEquals", ["a"], ("b", "c"), True),
    ("ForAllValues:StringNotEquals", ["a"], ("b", "a"), False),
    ("ForAnyValue:StringEquals", ["a", "b"], ("c", "b"), True),
    ("ForAnyValue:StringEquals", ["a"], ("c",), False),
    ("ForAnyValue:StringEquals", ["a"], None, False),
    ("ForAnyValue:StringNotEquals", ["a"], ("a", "b"), True),
    ("ForAnyValue:StringNotEquals", ["a"], ("a",), False),
    ("ForAnyValue:StringNotEquals", ["a"], None, False),
    ("ForAnyValue:StringLike", ["alias/*"], ("alias/x",), True),
    ("ForAnyValue:StringEqualsIfExists", ["a"], None, True),
    ("stringequals", ["a"], "a", True),
    ("StringEquals", ["${aws:PrincipalTag/team}"], "blue", True),
    ("StringEquals", ["${aws:PrincipalTag/team}"], "red", False),
    ("StringEquals", ["${aws:PrincipalTag/none}"], "blue", False),
    ("StringEquals", ["${aws:PrincipalTag/none, 'blue'}"], "blue", True),
    ("StringNotEquals", ["${aws:PrincipalTag/none}"], "blue", True),
    ("StringLike", ["${aws:PrincipalTag/star}x"], "*x", True),
    ("StringLike", ["${aws:PrincipalTag/star}x"], "axx", False),
    ("StringEquals", ["${*}"], "*", True),
    ("StringLike", ["a${*}"], "a*", True),
    ("StringLike", ["a${*}"], "ab", False),
    ("StringEquals", ["${$}{x}"], "${x}", True),
]


@pytest.mark.parametrize(("operator", "wanted", "actual", "holds"), OPERATORS)
def test_condition_operators(operator, wanted, actual, holds):
    condition = Condition.of(operator, "aws:Key", wanted, variables=True)
    keys = {"aws:principaltag/team": "blue", "aws:principaltag/star": "*"}
    assert condition.holds(keys if actual is None else {**keys, "aws:key": actual}) is holds


def test_an_operator_that_there_is_not_is_an_error():
    with pytest.raises(UnknownOperatorError):
        Condition.of("StringAlmostEquals", "k", ["v"], variables=True)


# Statements of an identity policy, the call, and whether it is allowed.
IDENTITY = [
    ([statement()], {}, True),
    ([], {}, False),
    ([statement(action="s3:Get*")], {}, True),
    ([statement(action="S3:GETOBJECT")], {}, True),
    ([statement(action="s3:PutObject")], {}, False),
    ([statement(action=["s3:PutObject", "s3:GetObject"])], {}, True),
    ([statement(resource=f"{BUCKET}/*")], {}, True),
    ([statement(resource=[f"{BUCKET}/x", f"{BUCKET}/k"])], {}, True),
    ([statement(resource=f"{BUCKET}/x")], {}, False),
    ([statement(), statement("Deny", resource=f"{BUCKET}/k")], {}, False),
    ([statement(), statement("Deny", resource=f"{BUCKET}/x")], {}, True),
    ([statement(NotAction="s3:PutObject")], {}, True),
    ([statement(NotAction=["s3:Get*"])], {}, False),
    ([statement(NotResource=f"{BUCKET}/x")], {}, True),
    ([statement(NotResource=f"{BUCKET}/*")], {}, False),
    ([statement(), statement("Deny", NotAction="s3:GetObject")], {}, True),
    ([statement(), statement("Deny", NotAction="s3:PutObject")], {}, False),
    ([statement(Condition={"StringEquals": {"aws:A": "1"}})], {"aws_A": "1"}, True),
    ([statement(Condition={"StringEquals": {"aws:A": "1"}})], {}, False),
    # All operators and keys must hold, any value will do.
    ([statement(Condition={"StringEquals": {"aws:A": ["1", "2"], "aws:B": "1"}})], {"aws_A": "2", "aws_B": "1"}, True),
    ([statement(Condition={"StringEquals": {"aws:A": "1"}, "Bool": {"aws:B": "true"}})], {"aws_A": "1"}, False),
    ([statement(), statement("Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})], {}, True),
    (
        [statement(), statement("Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})],
        {"aws_SecureTransport": "false"},
        False,
    ),
    ([statement(resource=f"{BUCKET}/${{aws:PrincipalTag/team}}")], {"aws_PrincipalTag__team": "k"}, True),
    ([statement(resource=f"{BUCKET}/${{aws:PrincipalTag/team}}")], {"aws_PrincipalTag__team": "*"}, False),
    ([statement(resource=f"{BUCKET}/${{aws:PrincipalTag/team}}")], {}, False),
    ([statement(resource=f"{BUCKET}/${{aws:PrincipalTag/team, 'k'}}")], {}, True),
]


@pytest.mark.parametrize(("statements", "keys", "allowed"), IDENTITY)
def test_identity_policies(statements, keys, allowed):
    assert verdict(principal(*statements), **keys).allowed is allowed


def test_variables_are_letters_in_the_first_version_of_the_language():
    old = document(statement(resource=f"{BUCKET}/${{aws:username}}"), version="2008-10-17")
    who = Principal(Caller(SESSION, ACCOUNT, ROLE), "worker", old, keys={"aws:username": "k"})
    assert not verdict(who).allowed
    assert verdict(who, resource=f"{BUCKET}/${{aws:username}}").allowed


@pytest.mark.parametrize(
    ("identity", "bound", "why"),
    [
        ([statement()], [statement()], None),
        ([statement()], [statement(action="s3:PutObject")], Why.NO_BOUNDARY),
        ([], [statement()], Why.NO_IDENTITY),
        ([statement()], [statement(), statement("Deny")], Why.EXPLICIT_BOUNDARY),
        ([statement(), statement("Deny")], [statement()], Why.EXPLICIT_IDENTITY),
    ],
)
def test_a_permissions_boundary_allows_nothing_by_itself(identity, bound, why):
    assert verdict(principal(*identity, boundary=document(*bound))).why is why


@pytest.mark.parametrize(
    ("session", "why"), [([statement()], None), ([statement(action="s3:PutObject")], Why.NO_SESSION)]
)
def test_a_session_policy_bounds_its_session(session, why):
    assert verdict(principal(statement(), session=document(*session))).why is why


def named(who, **more):
    return document(statement(Principal=who, **more))


EVERYONE = {"AWS": "*"}
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
# The resource's policy, the identity's statements, the boundary's, and what refuses.
RESOURCES = [
    # In one account either is enough, when the resource names whom it means.
    (named({"AWS": ROLE}), [], None, None),
    (named({"AWS": SESSION}), [], None, None),
    (named("*"), [], None, None),
    (named(EVERYONE), [], None, None),
    # Who names the account leaves it to its policies.
    (named(ROOT), [], None, Why.NO_IDENTITY),
    (named({"AWS": ACCOUNT}), [], None, Why.NO_IDENTITY),
    (named(ROOT), [statement()], None, None),
    (named({"AWS": "arn:aws:iam::999999999999:root"}), [], None, Why.NO_IDENTITY),
    (named({"Service": "logs.amazonaws.com"}), [], None, Why.NO_IDENTITY),
    # A boundary still bounds a role that is named, but not a session that is.
    (named({"AWS": ROLE}), [], [statement(action="s3:PutObject")], Why.NO_BOUNDARY),
    (named({"AWS": SESSION}), [], [statement(action="s3:PutObject")], None),
    (named("*", Effect="Deny"), [statement()], None, Why.EXPLICIT_RESOURCE),
    (named({"AWS": "999999999999"}, Effect="Deny"), [statement()], None, None),
    (named({"AWS": ROLE}, Effect="Deny"), [statement()], None, Why.EXPLICIT_RESOURCE),
    (document(statement("Deny", NotPrincipal={"AWS": ROLE})), [statement()], None, None),
    (document(statement("Deny", NotPrincipal={"AWS": ROLE + "x"})), [statement()], None, Why.EXPLICIT_RESOURCE),
    (
        named("*", Effect="Deny", Condition={"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}}),
        [statement()],
        None,
        None,
    ),
]


@pytest.mark.parametrize(("policy", "identity", "bound", "why"), RESOURCES)
def test_resource_policies(policy, identity, bound, why):
    who = principal(*identity, boundary=document(*bound) if bound else None)
    assert verdict(who, policy=policy).why is why


KEYS = [
    (named(ROOT, action="kms:*"), [statement(action="kms:Decrypt")], None),
    (named(ROOT, action="kms:*"), [], Why.NO_IDENTITY),
    (named({"AWS": ROLE}, action="kms:Decrypt"), [], None),
    # IAM counts for nothing where the key does not admit the account.
    (named({"AWS": ROLE + "x"}, action="kms:*"), [statement(action="*")], Why.NO_RESOURCE),
    (named(ROOT, action="kms:Encrypt"), [statement(action="*")], Why.NO_RESOURCE),
    (NOTHING, [statement(action="*")], Why.NO_RESOURCE),
]


@pytest.mark.parametrize(("policy", "identity", "why"), KEYS)
def test_a_key_is_its_policy_s_first(policy, identity, why):
    assert verdict(principal(*identity), "kms:Decrypt", "arn:aws:kms:eu:1:key/k", policy, decides=True).why is why


TASKS = Caller("ecs-tasks.amazonaws.com", "", "ecs-tasks.amazonaws.com", "Service")
TRUST = [
    ({"Service": "ecs-tasks.amazonaws.com"}, TASKS, None),
    ({"Service": "ec2.amazonaws.com"}, TASKS, Why.NO_RESOURCE),
    ({"Federated": "arn:idp"}, Caller("arn:idp", "", "arn:idp", "Federated"), None),
    ({"Federated": "arn:other"}, Caller("arn:idp", "", "arn:idp", "Federated"), Why.NO_RESOURCE),
    (ROOT, Caller(SESSION, ACCOUNT, ROLE), Why.NO_IDENTITY),
    ({"AWS": ROLE}, Caller(SESSION, ACCOUNT, ROLE), None),
]


@pytest.mark.parametrize(("who", "caller", "why"), TRUST)
def test_a_role_s_trust_says_who_may_assume_it(who, caller, why):
    trust = compiled(json.dumps({"Statement": {"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}}))
    assert verdict(principal(caller=caller), "sts:AssumeRole", ROLE, trust, decides=True).why is why


def test_refusals_have_aws_s_words():
    who = principal(statement(action="s3:PutObject"))
    asked = ("ecs:RunTask", "arn:aws:ecs:eu:1:task-definition/t:1")
    assert refusal(who, *asked, Why.NO_IDENTITY) == (
        f"User: {SESSION} is not authorized to perform: ecs:RunTask on resource: arn:aws:ecs:eu:1:task-definition/t:1"
        " because no identity-based policy allows the ecs:RunTask action"
    )
    assert refusal(who, *asked, Why.EXPLICIT_RESOURCE).endswith("with an explicit deny in a resource-based policy")
    assert f'"{BUCKET}"' in refusal(who, "s3:ListBucket", BUCKET, Why.NO_BOUNDARY)


def test_a_decision_names_the_statements_that_applied():
    policy = document(statement(Sid="One"), statement(action="s3:PutObject"), statement(), name="mine")
    who = Principal(Caller(SESSION, ACCOUNT, ROLE), "worker", policy)
    assert verdict(who).applied == (("identity", "mine#One"), ("identity", "mine#2"))
    assert [one.id for one in policy.without("mine#One").statements] == ["mine#1", "mine#2"]
    assert len(merged(policy, policy).statements) == 6


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"Statement": 7}', '{"Statement": [{"Effect": "Allow", "Condition": 7}]}']
)
def test_what_is_no_policy_is_an_error(text):
    with pytest.raises(ValueError, match="is no policy"):
        compiled(text)
