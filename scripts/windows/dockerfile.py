"""The Windows stage of a Dockerfile: its last one, which may do nothing but lay down files and say how to start.

Such a stage needs no Windows to be built. `images.build` reads it here; `docker buildx build` builds the same file.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.core.errors import ImageError

ALLOWED = ("FROM", "COPY", "ENV", "USER", "WORKDIR", "ENTRYPOINT")
_BASE = re.compile(r"(?P<name>[^\s@]+)@(?P<digest>sha256:[0-9a-f]{64})")
_COPY = re.compile(r"--from=stage /stage/(?P<source>\w+)/? /(?P<target>\w+)/?")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?:\"(?P<quoted>[^\"]*)\"|(?P<plain>\S*))(?:\s+|$)")


@dataclass(frozen=True)
class WindowsStage:
    """What the last stage says.

    Attributes:
        base: the base image's name, without its digest.
        digest: the base image's digest.
        copies: folder of the first stage's `/stage` to folder of drive C.
        environment: the variables that it sets.
        user: who runs.
        folder: the working folder.
        entrypoint: what is started.
    """

    base: str
    digest: str
    copies: Mapping[str, str]
    environment: Mapping[str, str]
    user: str
    folder: str
    entrypoint: Sequence[str]


@dataclass
class _Found:
    base: str = ""
    digest: str = ""
    copies: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    folder: str = ""
    entrypoint: list[str] = field(default_factory=list)


def read(file: Path) -> WindowsStage:
    """Read a Dockerfile's Windows stage.

    Raises:
        ImageError: there is none, or it asks for what cannot be done without Windows; with the line.
    """
    try:
        lines = list(_instructions(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ImageError(f"there is no {_short(file)}: invoke workloads.new makes a workload") from error
    starts = [index for index, (_, word, _) in enumerate(lines) if word == "FROM"]
    if not starts:
        raise ImageError(f"{_short(file)} has no FROM")
    found = _Found()
    for number, word, rest in lines[starts[-1] :]:
        where = f"{_short(file)}, line {number}"
        if word not in ALLOWED:
            raise ImageError(f"{where}: {word} needs Windows to be built; the last stage takes {', '.join(ALLOWED)}")
        _take(found, word, rest, where)
    for name in ("user", "folder", "entrypoint", "copies"):
        if not getattr(found, name):
            raise ImageError(f"{_short(file)}: the last stage has no {_WORDS[name]}")
    if "administrator" in found.user.lower():
        raise ImageError(f"{_short(file)}: USER {found.user}: an image runs as ContainerUser")
    return WindowsStage(**vars(found))


_WORDS = {"user": "USER", "folder": "WORKDIR", "entrypoint": "ENTRYPOINT", "copies": "COPY"}


def _take(found: _Found, word: str, rest: str, where: str) -> None:
    match word:
        case "FROM":
            base = _BASE.fullmatch(rest)
            if base is None:
                raise ImageError(f"{where}: FROM {rest}: a base image is named by its digest, name:tag@sha256:…")
            found.base, found.digest = base["name"], base["digest"]
        case "COPY":
            copy = _COPY.fullmatch(rest)
            if copy is None:
                raise ImageError(f"{where}: COPY {rest}: --from=stage /stage/<folder>/ /<folder>/ is expected")
            found.copies[copy["source"]] = copy["target"]
        case "ENV":
            found.environment |= _variables(rest, where)
        case "USER":
            found.user = rest
        case "WORKDIR":
            found.folder = rest
        case "ENTRYPOINT":
            try:
                words = json.loads(rest)
            except ValueError:
                words = None
            if not isinstance(words, list) or not all(isinstance(item, str) for item in words):
                raise ImageError(f'{where}: ENTRYPOINT {rest}: a list in JSON is expected, ["program.exe", "word"]')
            found.entrypoint = words


def _variables(rest: str, where: str) -> dict[str, str]:
    variables: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = _VARIABLE.match(rest, position)
        if match is None or "$" in match[0]:
            raise ImageError(f'{where}: ENV {rest}: NAME="value" is expected, without other variables')
        variables[match["name"]] = match["quoted"] if match["quoted"] is not None else match["plain"]
        position = match.end()
    return variables


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, instruction and what follows it; continued lines are joined."""
    escape = "`" if re.match(r"#\s*escape\s*=\s*`", text, re.IGNORECASE) else "\\"
    begun, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not joined and not line.strip()):
            continue
        begun = begun or number
        if line.rstrip().endswith(escape):
            joined += line.rstrip()[:-1]
            continue
        word, _, rest = (joined + line).strip().partition(" ")
        yield begun, word.upper(), rest.strip()
        begun, joined = 0, ""


def _short(file: Path) -> str:
    return "/".join(file.parts[-3:])
