"""What an environment is called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """What never changes of an environment."""

    name: str
    account: str
    region: str
    partition: str

    @property
    def arn(self) -> str:
        """The environment's ARN."""
        return f"arn:{self.partition}:airflow:{self.region}:{self.account}:environment/{self.name}"
