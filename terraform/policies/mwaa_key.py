"""MWAA's database, queue and logs lie under a key of ours."""

from checkov.common.models.consts import ANY_VALUE
from checkov.common.models.enums import CheckCategories
from checkov.terraform.checks.resource.base_resource_value_check import BaseResourceValueCheck


class MwaaKey(BaseResourceValueCheck):  # type: ignore[misc]  # checkov has no types
    """Checks that MWAA environments name a key."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure an MWAA environment is encrypted with a customer-managed key",
            id="CKV_WB_1",
            categories=[CheckCategories.ENCRYPTION],
            supported_resources=["aws_mwaa_environment"],
        )

    def get_inspected_key(self) -> str:
        """Give the name of the argument that must be there."""
        return "kms_key"

    def get_expected_value(self) -> object:
        """Take any value: which key it is, Terraform says."""
        return ANY_VALUE


check = MwaaKey()
