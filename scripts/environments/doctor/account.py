"""Whose AWS it is: clock, credentials, account, region."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError, NoCredentialsError

from scripts.core.errors import PreflightError
from scripts.core.settings import Settings, assignment
from scripts.environments.doctor.check import Check, Context, Finding, State, doubtful, fine, wrong

# AWS refuses what is signed with a clock that is further off, s (IAM User Guide, "Signing AWS API requests").
SKEW = 300.0


class Clock(Check):
    """Compares the machine's clock with AWS's."""

    name = "clock"
    # Whatever else is asked would be refused for it.
    stops_at = (State.WRONG,)

    def run(self, context: Context) -> Finding:
        """Compare this machine's with AWS's, which a refusal tells, too."""
        try:
            answer = context.aws.client("sts").get_caller_identity()
        except NoCredentialsError:
            return doubtful("AWS was not asked for its time: there are no credentials")
        except ClientError as error:
            answer = error.response
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is None:
            return doubtful("AWS's answer has no date")
        off = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
        said = f"{abs(off):.0f} s {'before' if off > 0 else 'behind'} AWS's"
        if abs(off) > SKEW:
            return wrong(f"{said}; AWS refuses what is more than 300 s off", "set this machine's clock by NTP")
        return fine(said)


class Account(Check):
    """Looks whose credentials there are, and whether the environment lives in that account."""

    name = "credentials and account"
    stops_at = (State.WRONG,)

    def run(self, context: Context) -> Finding:
        """Ask whose the credentials are."""
        account = identify(context.settings, context.aws.client("sts"))
        unsure = account_doubts(context.settings, account)
        if unsure:
            return doubtful(unsure[0], f"name {account} there if it is the right one")
        return fine(f"account {account}")


class Region(Check):
    """Looks whether the account may use the region."""

    name = "region"

    def run(self, context: Context) -> Finding:
        """See that state and resources are in one region, and that the account may use it."""
        settings = context.settings
        region = settings.region
        named = assignment(settings.var_file.read_text(encoding="utf-8"), "region")
        if named != region:
            return wrong(
                f"{settings.var_file.name} says {named}, {settings.backend_file.name} {region}", "name one in both"
            )
        answer = context.aws.client("ec2").describe_regions(RegionNames=[region], AllRegions=True)
        if answer["Regions"][0].get("OptInStatus") == "not-opted-in":
            return wrong(
                f"the account has not opted in to {region}", f"aws account enable-region --region-name {region}"
            )
        return fine(region)


def identify(settings: Settings, sts: Any) -> str:
    """The account that the credentials are for.

    Raises:
        PreflightError: it is not the environment's.
    """
    caller = sts.get_caller_identity()
    account = str(caller["Account"])
    allowed = accounts(settings)
    if allowed and account not in allowed:
        raise PreflightError(
            f"the credentials ({caller['Arn']}) are for account {account}, and environment {settings.environment} lives"
            f" in {' or '.join(allowed)} ({settings.var_file.name}): log in to that one and call again"
        )
    return account


def accounts(settings: Settings) -> list[str]:
    """The accounts that the environment's values allow; none when they name none."""
    text = re.sub(r"(#|//).*", "", settings.var_file.read_text(encoding="utf-8"))
    named = re.search(r"^\s*allowed_account_ids\s*=\s*\[([^\]]*)\]", text, re.MULTILINE)
    return re.findall(r'"(\d{12})"', named[1]) if named else []


def account_doubts(settings: Settings, account: str) -> list[str]:
    """What a person should know of the account before a real environment changes."""
    if accounts(settings):
        return []
    doubt = (
        f"{settings.var_file.name} does not say which account is the right one (aws_provider.allowed_account_ids);"
        f" the credentials are for {account}"
    )
    return [doubt]


def checkout_doubts(commit: str | None, changed: Sequence[str]) -> list[str]:
    """What a person should know of the checkout before a real environment changes."""
    if commit is None:
        return ["the checkout has no commit, so nobody can tell later what was applied"]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return [f"{changed[0]}{more} differ from commit {commit[:12]}; commit what is to be applied"]
    return []
