import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import template
from winbatch.errors import JobError

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
texts = st.text(max_size=12)


@given(st.lists(st.one_of(texts, names.map(lambda name: (name,))), max_size=8), st.data())
def test_a_template_is_what_stands_between_its_placeholders(parts, data):
    text, expected, found, values = "", "", [], {}
    for part in parts:
        if isinstance(part, tuple):
            value = values.setdefault(part[0], data.draw(texts))
            text, expected, found = text + f"{{{part[0]}}}", expected + value, [*found, part[0]]
        else:
            text, expected = text + part.replace("{", "{{").replace("}", "}}"), expected + part
    assert template.names(text) == found
    assert template.fill(text, values) == expected


@given(st.text())
def test_any_text_is_a_template_or_refused(text):
    with contextlib.suppress(ValueError):
        template.fill(text, dict.fromkeys(template.names(text), "x"))


@pytest.mark.parametrize(
    "text", ["{", "}", "{}", "{ a }", "{A}", "{a.b}", "{a!r}", "{a:>8}", "{0}", "{{{", "${HOME}", "{item", "a}b"]
)
def test_what_is_no_placeholder_is_refused(text):
    with pytest.raises(ValueError, match="a brace is written twice"):
        template.names(text)


@pytest.mark.parametrize("value", ["{item}", "{{", "}", "$(rm -rf /)", "a b", '"', "%PATH%", "\\", "{__class__}"])
def test_what_a_value_holds_is_left_alone(value):
    assert template.fill("<{x}>", {"x": value, "item": 7}) == f"<{value}>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8, "8"),
        (8.0, "8.0"),
        (1e-9, "1e-09"),
        (0.1, "0.1"),
        (True, "true"),
        ([1.5, 2.0], "1.5,2.0"),
        (["a", "b"], "a,b"),
        ("", ""),
        (2**63, str(2**63)),
    ],
)
def test_values_as_text(value, text):
    assert template.fill("{x}", {"x": value}) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_all_their_digits(value):
    assert json.loads(template.as_text(value)) == value


def test_a_missing_value_is_named_with_what_there_is():
    with pytest.raises(JobError, match=r"'--x=\{x\}' needs 'x', which the item does not have \(it has y, item\)"):
        template.fill("--x={x}", {"y": 1, "item": 3})
