"""CloudWatch as far as others act on it: metrics in log events, and what an alarm does when its state changes.

Alarms are not evaluated; SetAlarmState changes their state, and from there on they act as on AWS.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends
from moto.logs.exceptions import LogsClientError
from moto.logs.models import LogGroup, LogsBackend, logs_backends
from moto.sns.exceptions import SNSException
from moto.sns.models import sns_backends

from emulator.context import Context
from emulator.identity.gate import Identity, Refused
from emulator.patching import OwnUrls, keep_with

log = logging.getLogger(__name__)


# Commands of Logs Insights that moto carries out.
_QUERIED = ("fields", "limit", "sort")


class Logs(OwnUrls, LogsBackend):
    """moto's log groups; events in the embedded metric format become metrics, as on AWS."""

    moto_service = "logs"
    identity: Identity

    def create_log_group(self, log_group_name: str, tags: dict[str, str], **kwargs: Any) -> LogGroup:
        """Make a log group.

        Raises:
            KeyRefusedError: the service may not use the group's key
        """
        if key := kwargs.get("kmsKeyId"):
            self._check_key(f"{self._arn}:log-group:{log_group_name}", key)
        return super().create_log_group(log_group_name, tags, **kwargs)

    @property
    def _arn(self) -> str:
        return f"arn:{self.partition}:logs:{self.region_name}:{self.account_id}"

    def _check_key(self, group_arn: str, key: str) -> None:
        """See that the service may use a group's key: its own name stands in the key's policy.

        Source: CloudWatch Logs User Guide, "Encrypt log data in CloudWatch Logs using AWS KMS"; the words are those of
        hashicorp/terraform-provider-aws#29282.
        """
        arn = self.identity.state.key_arn(self.region_name, key)
        service = self.identity.service(f"logs.{self.region_name}.amazonaws.com")
        context = {"kms_EncryptionContext:aws:logs:arn": group_arn}
        if arn is None:
            raise KeyRefusedError(group_arn)
        try:
            service.require("kms:DescribeKey", arn, "key", self.region_name)
            for action in ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"):
                service.require(action, arn, "key", self.region_name, **context)
        except Refused as error:
            raise KeyRefusedError(group_arn) from error

    def put_log_events(
        self, log_group_name: str, log_stream_name: str, log_events: list[dict[str, Any]]
    ) -> tuple[str, dict[str, Any]]:
        """Keep events, and make metrics of those in the embedded metric format."""
        answer = super().put_log_events(log_group_name, log_stream_name, log_events)
        for event in log_events:
            # Whatever is before the object makes it plain text.
            if event["message"].startswith("{") and '"_aws"' in event["message"]:
                self._extract(event["message"])
        return answer

    def start_query(self, log_group_names: list[str], start_time: int, end_time: int, query_string: str) -> str:
        """Begin a query of Logs Insights.

        Raises:
            NotImplementedError: it has a command that moto skips, so that a filter would find everything
        """
        commands = [command.split() for command in query_string.split("|")]
        unknown = [words[0] for words in commands if words and words[0].lower() not in _QUERIED]
        if unknown:
            raise NotImplementedError(f"`{unknown[0]}` in a query of Logs Insights: there are {', '.join(_QUERIED)}")
        return super().start_query(log_group_names, start_time, end_time, query_string)

    def _extract(self, message: str) -> None:
        try:
            document = json.loads(message)
            metadata = document["_aws"]
            at = datetime.fromtimestamp(metadata["Timestamp"] / 1000, UTC).replace(tzinfo=None)
            for directive in metadata["CloudWatchMetrics"]:
                for names in directive["Dimensions"]:
                    dimensions = [{"Name": name, "Value": document[name]} for name in names]
                    data = [
                        {
                            "MetricName": metric["Name"],
                            "Value": float(document[metric["Name"]]),
                            "Unit": metric.get("Unit", "None"),
                            "Dimensions": dimensions,
                            "Timestamp": at,
                        }
                        for metric in directive["Metrics"]
                    ]
                    cloudwatch_backends[self.account_id][self.region_name].put_metric_data(directive["Namespace"], data)
        except (ValueError, KeyError, TypeError) as error:
            # AWS counts EMFValidationErrors and keeps the event.
            log.warning("not in the embedded metric format (%r): %s", error, message[:200])


class KeyRefusedError(LogsClientError):
    """CloudWatch Logs may not use a key."""

    def __init__(self, group_arn: str) -> None:
        words = f"The specified KMS key does not exist or is not allowed to be used with Arn '{group_arn}'"
        super().__init__("AccessDeniedException", words)


class Alarms(OwnUrls, CloudWatchBackend):
    """moto's alarms, which change their state and do nothing."""

    moto_service = "cloudwatch"
    identity: Identity

    def get_metric_data(self, queries: list[dict[str, Any]], *args: Any, **given: Any) -> list[dict[str, Any]]:
        """Give metrics' values.

        Raises:
            NotImplementedError: an expression is more than another query's id; moto would answer it with no values
        """
        ids = {query.get("Id") for query in queries}
        for query in queries:
            expression = query.get("Expression")
            if expression is not None and expression not in ids:
                raise NotImplementedError(f"GetMetricData of the expression `{expression}`: metric math and queries")
        return super().get_metric_data(queries, *args, **given)

    def set_alarm_state(self, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """Set an alarm's state, and do what the alarm does when that is a change."""
        alarm: Alarm | None = self.alarms.get(alarm_name)
        before = alarm.state_value if alarm else ""
        super().set_alarm_state(alarm_name, reason, reason_data, state_value)
        if alarm is None or state_value == before or not alarm.actions_enabled:
            return
        actions = {"OK": alarm.ok_actions, "ALARM": alarm.alarm_actions}.get(
            state_value, alarm.insufficient_data_actions
        )
        for action in actions:
            self._act(alarm, before, action)

    def _act(self, alarm: Alarm, before: str, action: str) -> None:
        service = action.split(":")[2]
        if service == "autoscaling":
            groups = autoscaling_backends[self.account_id][self.region_name]
            policy = next((policy for policy in groups.policies.values() if policy.arn == action), None)
            if policy is not None:
                policy.execute()
                return
        elif service == "sns":
            try:
                self._check_topic(alarm, action)
                sns_backends[self.account_id][self.region_name].publish(
                    json.dumps(self._message(alarm, before)), arn=action, subject=_subject(alarm)
                )
            except (SNSException, Refused) as error:
                log.warning("alarm %s: failed to execute action %s: %s", alarm.name, action, error)
            return
        # AWS writes this into the alarm's history.
        log.warning("alarm %s: failed to execute action %s", alarm.name, action)

    def _check_topic(self, alarm: Alarm, topic_arn: str) -> None:
        """See that CloudWatch may publish, and may use the topic's key.

        Source: SNS Developer Guide, "Enable compatibility between event sources … and encrypted topics".

        Raises:
            Refused: it may not
        """
        service = self.identity.service("cloudwatch.amazonaws.com", source=alarm.alarm_arn)
        service.require("sns:Publish", topic_arn, "topic", self.region_name)
        topic = sns_backends[self.account_id][self.region_name].topics.get(topic_arn)
        arn = self.identity.state.key_arn(self.region_name, topic.kms_master_key_id) if topic else None
        for action in ("kms:Decrypt", "kms:GenerateDataKey") if arn else ():
            service.require(action, str(arn), "key", self.region_name)

    def _message(self, alarm: Alarm, before: str) -> dict[str, Any]:
        return {
            "AlarmName": alarm.name,
            "AlarmDescription": alarm.description,
            "AWSAccountId": self.account_id,
            "NewStateValue": alarm.state_value,
            "NewStateReason": alarm.state_reason,
            "StateChangeTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "Region": self.region_name,
            "AlarmArn": alarm.alarm_arn,
            "OldStateValue": before,
        }


def _subject(alarm: Alarm) -> str:
    return f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}'[:100]


def install(context: Context) -> None:
    """Serve CloudWatch and its logs."""
    Logs.identity = Alarms.identity = context.identity
    keep_with(logs_backends, Logs)
    keep_with(cloudwatch_backends, Alarms)


def shutdown() -> None:
    """Nothing runs here."""
