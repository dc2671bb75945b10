"""What the pipeline leaves on GitHub: one comment of a pull request, one issue, each kept up to date and not repeated.

A comment or an issue is found again by a mark in its text that nobody sees. Which repository, and by what right, stands
where GitHub's runners put it: `GITHUB_REPOSITORY`, `GITHUB_TOKEN` and `GITHUB_API_URL`.
"""

import os
from collections.abc import Iterable, Mapping

from github import Auth, Github, GithubException
from github.Issue import Issue
from github.IssueComment import IssueComment
from github.Repository import Repository

from scripts.core.errors import PipelineError, SettingsError

LABEL = "winbatch"
# GitHub takes 65,536 characters.
MAX_CHARACTERS = 60_000


def comment(number: int, about: str, text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Say something on a pull request, in place of what was said about the same before.

    Args:
        number: the pull request's.
        about: what it is about, such as `plan-dev`.
        text: Markdown; what GitHub would refuse as too long is cut off, and says so.
        environ: GitHub's variables.

    Returns:
        The comment's address.

    Raises:
        PipelineError: GitHub refuses, or cannot be reached.
        SettingsError: a variable is missing.
    """
    body = marked(about, text)
    try:
        issue = _repository(environ).get_issue(number)
        old = _find(issue.get_comments(), about)
        if old is None:
            return issue.create_comment(body).html_url
        if old.body != body:
            old.edit(body)
    except (GithubException, OSError) as error:
        raise PipelineError(f"GitHub refused the comment on #{number}: {_reason(error)}") from error
    return old.html_url


def report(about: str, title: str, text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Keep one open issue about something: open it, bring it up to date, or close it.

    Args:
        about: what it is about, such as `drift-dev`.
        title: the issue's.
        text: Markdown; empty when there is nothing to say (any more).
        environ: GitHub's variables.

    Returns:
        The issue's address; empty when there is none and none is needed.

    Raises:
        PipelineError: GitHub refuses, or cannot be reached.
        SettingsError: a variable is missing.
    """
    try:
        repository = _repository(environ)
        old = _find(repository.get_issues(state="open", labels=[LABEL]), about)
        if old is None and not text:
            return ""
        if old is None:
            return repository.create_issue(title=title, body=marked(about, text), labels=[LABEL]).html_url
        if not text:
            old.create_comment("It is as it should be again.")
            old.edit(state="closed")
        elif old.body != marked(about, text):
            old.edit(title=title, body=marked(about, text))
    except (GithubException, OSError) as error:
        raise PipelineError(f"GitHub refused the issue about {about}: {_reason(error)}") from error
    return old.html_url


def marked(about: str, text: str) -> str:
    """A text with its mark, short enough for GitHub."""
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS].rsplit("\n", 1)[0] + "\n\n… the rest is in the run's log."
    return f"{_mark(about)}\n{text}"


def _mark(about: str) -> str:
    return f"<!-- winbatch: {about} -->"


def _find[Said: (Issue, IssueComment)](said: Iterable[Said], about: str) -> Said | None:
    return next((one for one in said if (one.body or "").startswith(_mark(about))), None)


def _repository(environ: Mapping[str, str]) -> Repository:
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not environ.get(name)]
    if missing:
        raise SettingsError(f"{' and '.join(missing)} must be set: a workflow of GitHub Actions does it")
    github = Github(
        base_url=environ.get("GITHUB_API_URL") or "https://api.github.com",
        auth=Auth.Token(environ["GITHUB_TOKEN"]),
        timeout=30,
        lazy=True,
    )
    return github.get_repo(environ["GITHUB_REPOSITORY"])


def _reason(error: Exception) -> str:
    if isinstance(error, GithubException):
        message = error.data.get("message") if isinstance(error.data, dict) else None
        return f"{error.status}: {message or error.message or error.data}"
    return str(error)
