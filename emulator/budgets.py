"""AWS Budgets with the subscribers and tags that moto forgets. Nothing is spent, so no notification is ever sent."""

from __future__ import annotations

import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import BudgetsBackend, budgets_backends
from moto.budgets.responses import BudgetsResponse

from emulator.context import Context
from emulator.patching import OwnUrls, keep_with, serve_with


class Budgets(OwnUrls, BudgetsBackend):
    """moto's budgets, with tags by ARN."""

    moto_service = "budgets"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tags: dict[str, dict[str, str]] = {}

    def subscribers(self, account_id: str, budget_name: str, notification: dict[str, Any]) -> Any:
        """Give the subscribers of a budget's notification.

        Raises:
            NotFoundException: there is no such budget or notification
        """
        self.describe_budget(account_id, budget_name)
        for known in self.budgets[account_id][budget_name].notifications:
            if known.details == notification:
                return known.subscribers
        raise NotFoundException("Unable to get the subscribers of a notification that does not exist.")


class BudgetsApi(BudgetsResponse):
    """moto's handlers and those that it lacks."""

    @property
    def backend(self) -> Budgets:
        """Give the account's budgets, as the class that they have here."""
        found: Budgets = super().backend  # type: ignore[assignment]
        return found

    def create_budget(self) -> str:
        """Answer CreateBudget, and keep the tags, which moto forgets."""
        answer = super().create_budget()
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:{self.partition}:budgets::{self._get_param('AccountId')}:budget/{name}"
        self._tag(arn, self._get_param("ResourceTags", []))
        return answer

    def describe_subscribers_for_notification(self) -> str:
        """Answer DescribeSubscribersForNotification, which moto lacks."""
        names = ("AccountId", "BudgetName", "Notification")
        return json.dumps({"Subscribers": self.backend.subscribers(*(self._get_param(name) for name in names))})

    def list_tags_for_resource(self) -> str:
        """Answer ListTagsForResource, which moto lacks."""
        tags = self.backend.tags.get(self._get_param("ResourceARN"), {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def tag_resource(self) -> str:
        """Answer TagResource, which moto lacks."""
        self._tag(self._get_param("ResourceARN"), self._get_param("ResourceTags"))
        return json.dumps({})

    def untag_resource(self) -> str:
        """Answer UntagResource, which moto lacks."""
        for key in self._get_param("ResourceTagKeys"):
            self.backend.tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return json.dumps({})

    def _tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        self.backend.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})


def install(context: Context) -> None:  # noqa: ARG001 - every service is installed alike
    """Serve AWS Budgets."""
    keep_with(budgets_backends, Budgets)
    serve_with("budgets", BudgetsApi, BudgetsResponse)


def shutdown() -> None:
    """Nothing runs here."""
