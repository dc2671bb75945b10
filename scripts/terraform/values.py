"""An environment's values as data: what its tfvars file says, without starting Terraform."""

from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from scripts.core.errors import SettingsError


def read(file: Path) -> dict[str, Any]:
    """Read a tfvars file.

    Raises:
        SettingsError: it is none.
    """
    try:
        found: dict[str, Any] = plain(hcl2.loads(file.read_text(encoding="utf-8")))
    except LarkError as error:
        line = getattr(error, "line", "?")
        raise SettingsError(
            f"{file.name} cannot be read from line {line} on: mend it, terraform fmt shows how"
        ) from error
    return found


def plain(value: Any) -> Any:
    """What the HCL parser gives, without the quotation marks and the comments that it keeps."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.removeprefix('"').removesuffix('"') if isinstance(value, str) else value
