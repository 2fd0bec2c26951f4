"""`spec.client.outlierDetection`: when clients leave out an endpoint that fails. Names and defaults: gRFC A50."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from .scalars import ApiModel, Duration, is_duration, rules

Percent = Annotated[int, Field(ge=1, le=100)]
Hosts = Annotated[int, Field(ge=1, le=1000)]
Volume = Annotated[int, Field(ge=1, le=1_000_000)]


class SuccessRate(ApiModel):
    """Ejects endpoints that succeed far less often than the others do."""

    stdev_factor: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1900, description="How far below the mean is too far, in thousandths of the standard deviation."
    )
    enforcement_percentage: Percent = Field(100, description="How many of the endpoints found are ejected, at random.")
    minimum_hosts: Hosts = Field(5, description="Fewest endpoints with requestVolume calls that can be compared.")
    request_volume: Volume = Field(100, description="Fewest calls in one interval by which an endpoint is judged.")


class FailurePercentage(ApiModel):
    """Ejects endpoints of which too many calls fail, whatever the others do."""

    threshold: Percent = Field(85, description="Percentage of failed calls above which an endpoint is ejected.")
    enforcement_percentage: Percent = Field(100, description="How many of the endpoints found are ejected, at random.")
    minimum_hosts: Hosts = Field(5, description="Fewest endpoints with requestVolume calls for any to be ejected.")
    request_volume: Volume = Field(50, description="Fewest calls in one interval by which an endpoint is judged.")


class OutlierDetection(ApiModel):
    """Each client leaves out, for a while, endpoints on which its own calls fail (gRFC A50)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.successRate) || has(self.failurePercentage)",
                "set successRate, failurePercentage or both ({} takes the defaults); without them nothing is ejected",
            ),
            (
                # The API server tries rules on the object before it fills in defaults.
                "!has(self.baseEjectionTime) || !has(self.maxEjectionTime)"
                f" || !{is_duration('self.baseEjectionTime')} || !{is_duration('self.maxEjectionTime')}"
                " || duration(self.maxEjectionTime) >= duration(self.baseEjectionTime)",
                "must not be shorter than baseEjectionTime",
                ".maxEjectionTime",
            ),
        )
    )

    interval: Duration = Field("10s", description="Time between two looks at all endpoints.")
    base_ejection_time: Duration = Field(
        "30s", description="Time an endpoint is left out, times how often that has happened lately."
    )
    max_ejection_time: Duration = Field("5m", description="Longest time an endpoint is left out.")
    max_ejection_percent: Percent = Field(
        10, description="Percentage of endpoints that may be left out at one time; one endpoint may be, always."
    )
    success_rate: SuccessRate | None = Field(None, description="Compare endpoints with each other; unset is off.")
    failure_percentage: FailurePercentage | None = Field(
        None, description="Compare each endpoint with a threshold; unset is off."
    )
