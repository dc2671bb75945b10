import pytest

from scripts.checks import generated, module_docs
from scripts.checks.module_docs import Declared
from scripts.core.errors import CheckFailed

VARIABLES = """
variable "zones" {
  description = "The letters, such as \\"a\\" | \\"b\\"."
  type        = list(string)
  default     = ["a", "b"]
  nullable    = false

  validation {
    condition     = length(var.zones) > 1
    error_message = "two"
  }
}

variable "scale" {
  description = "How many of each."
  type = object({
    max_workers = optional(number, 2) # and no more
    class       = optional(string)
  })
  default = { max_workers = 3, class = "a" }
}

variable "days" {
  description = "Null keeps all."
  type        = number
  default     = null
}

variable "name" {
  description = "The prefix."
  type        = string
}

variable "on" {
  description = "Whether it is."
  type        = bool
  default     = false
}
"""
OUTPUTS = """
output "arn" {
  description = "Its ARN."
  value       = "arn:${local.partition}:s3:::x"
}
"""


def test_declarations_are_read_as_they_are_written():
    assert module_docs.declared(VARIABLES, "variable") == [
        Declared("days", "Null keeps all.", "number", "null"),
        Declared("name", "The prefix.", "string"),
        Declared("on", "Whether it is.", "bool", "false"),
        Declared(
            "scale",
            "How many of each.",
            "object({max_workers = optional(number, 2), class = optional(string)})",
            '{ max_workers = 3, class = "a" }',
        ),
        Declared("zones", 'The letters, such as "a" | "b".', "list(string)", '["a", "b"]'),
    ]
    assert module_docs.declared(OUTPUTS, "output") == [Declared("arn", "Its ARN.")]


def test_tables_have_a_line_for_each():
    lines = module_docs.tables(VARIABLES, OUTPUTS).splitlines()
    assert "| `name` | The prefix. | `string` | must be given |" in lines
    assert '| `zones` | The letters, such as "a" \\| "b". | `list(string)` | `["a", "b"]` |' in lines
    assert lines[-1] == "| `arn` | Its ARN. |"


def test_a_declaration_without_a_description_is_refused():
    with pytest.raises(CheckFailed, match="name has no description"):
        module_docs.declared('variable "name" {\n  type = string\n}\n', "variable")


def test_a_stale_page_is_known_and_mended_in_its_place(tmp_path):
    module = tmp_path / "modules" / "one"
    module.mkdir(parents=True)
    (module / "variables.tf").write_text(VARIABLES)
    (module / "outputs.tf").write_text(OUTPUTS)
    (module / "README.md").write_text("# one\n\nWhat it is.\n")
    readme = module / "README.md"
    assert list(module_docs.pages(tmp_path)) == [readme]
    written = module_docs.pages(tmp_path)[readme] + "\nMore of it.\n"
    readme.write_text(written)
    assert module_docs.pages(tmp_path)[readme] == written
    (module / "outputs.tf").write_text("")
    mended = module_docs.pages(tmp_path)[readme]
    assert mended.startswith("# one\n\nWhat it is.\n\n## Inputs and outputs\n")
    assert mended.endswith("\nMore of it.\n")
    assert "Its ARN." not in mended


def test_variables_may_be_in_several_files(tmp_path):
    (tmp_path / "variables.tf").write_text(VARIABLES)
    (tmp_path / "variables_more.tf").write_text('variable "more" {\n  description = "More."\n  type = string\n}\n')
    (page,) = module_docs.pages(tmp_path).values()
    assert "| `more` | More. |" in page
    assert "| `name` | The prefix. |" in page


def test_a_generated_part_may_hold_what_looks_like_a_pattern():
    page = generated.replaced("# x\n", "part", r"\1 \g<0>", heading="## P")
    assert generated.replaced(page, "part", r"\1 \g<0>", heading="## P") == page
