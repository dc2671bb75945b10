"""Where moto's dispatcher finds MWAA's operations."""

from __future__ import annotations

from emulator.mwaa.responses import MwaaResponse

url_bases = [r"https?://airflow\.(.+)\.amazonaws\.com"]

url_paths = {
    "{0}/environments$": MwaaResponse.dispatch,
    "{0}/environments/(?P<name>[^/]+)$": MwaaResponse.dispatch,
    "{0}/clitoken/(?P<name>[^/]+)$": MwaaResponse.dispatch,
    "{0}/webtoken/(?P<name>[^/]+)$": MwaaResponse.dispatch,
    "{0}/restapi/(?P<name>[^/]+)$": MwaaResponse.dispatch,
    "{0}/tags/(?P<resource_arn>.+)$": MwaaResponse.dispatch,
    "{0}/metrics/environments/(?P<name>[^/]+)$": MwaaResponse.dispatch,
}
