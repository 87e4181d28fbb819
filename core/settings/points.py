"""The settings of points: amounts in points, as people see them; the ledger counts millipoints."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ..workflows.workflow import Category
from .section import Count, Section

GpuName = Literal["T4", "L4", "A10G", "L40S", "A100", "A100-80GB", "H100", "H200", "B200"]
LIST_PRICES: Mapping[GpuName, float] = {
    "T4": 0.00018,
    "L4": 0.00032,
    "A10G": 0.000337,
    "L40S": 0.000596,
    "A100": 0.00114,
    "A100-80GB": 0.001708,
    "H100": 0.002338,
    "H200": 0.001891,
    "B200": 0.002604,
}
"""Dollars a second, as clouds list them."""


def _amount(given: Any) -> Any:
    """A number as it was written, not as a float keeps it."""
    return Decimal(str(given)) if isinstance(given, float) else given


Amount = Annotated[Decimal, BeforeValidator(_amount), Field(ge=0, le=10**9, decimal_places=3)]
"""Points, with at most three decimals."""
Share = Annotated[float, Field(ge=1e-6, le=1000)]


class PriceSettings(Section):
    """What a run costs; what is left out costs nothing."""

    second: Amount = Field(default=Decimal(0), description="Points for each second of running time.")
    gpu: GpuName | None = Field(
        default=None, description="In place of `second`: the list price of this machine, by `points.gpu_prices`."
    )
    token: Amount = Field(default=Decimal(0), description="Points for each token that a language model used.")
    expect_tokens: Count = Field(
        default=1_000, description="Tokens that a run is expected to use, until some have shown how many."
    )
    run: Amount = Field(default=Decimal(0), description="Points for each run, however long it takes.")
    flat: Amount | None = Field(
        default=None, description="Points for each run and nothing else; only purchased points pay it."
    )
    multiplier: Share = Field(default=1, description="All of it times this.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.flat is not None and (self.second or self.gpu or self.token or self.run):
            raise ValueError("a flat price is the whole price; take the others away")
        if self.gpu and self.second:
            raise ValueError("say either second or gpu")
        return self


def _video() -> dict[Category, PriceSettings]:
    return {"to video": PriceSettings(second=Decimal(9))}


def _listed() -> dict[GpuName, float]:
    return dict(LIST_PRICES)


class AllowanceSettings(Section):
    """What everybody may spend for nothing, again and again."""

    base: int = Field(
        default=199_800,
        ge=0,
        description="An allowance is (holding + base) / divisor points, rounded down; the holding is 0 unless a plugin says more.",
    )
    divisor: Count = Field(default=540, description="See `base`.")
    cycle_minutes: Count = Field(default=15, description="Time between two refills, in minutes.")
    cycles: Count = Field(default=18, description="Refills from empty to full.")


class PointsSettings(Section):
    """Who pays for what, and how much."""

    enabled: bool = Field(default=True, description="Whether runs cost points. Without, everything is free.")
    allowance: AllowanceSettings = Field(
        default_factory=AllowanceSettings, description="What everybody may spend for nothing, again and again."
    )
    price: PriceSettings = Field(
        default_factory=lambda: PriceSettings(second=Decimal(3)),
        description="Of every workflow that has no other.",
        json_schema_extra={"shown": "`second: 3`"},
    )
    categories: dict[Category, PriceSettings] = Field(
        default_factory=_video,
        description="Prices by category of workflow.",
        json_schema_extra={"shown": "`to video: {second: 9}`"},
    )
    workflows: dict[str, PriceSettings] = Field(
        default_factory=dict, description="Prices by name of workflow; these come first."
    )
    gpu_prices: dict[GpuName, Share] = Field(
        default_factory=_listed,
        description="List prices of machines, in dollars a second.",
        json_schema_extra={"shown": "as clouds list them: A10G 0.000337, A100 0.00114, H100 0.002338 and more"},
    )

    @field_validator("categories")
    @classmethod
    def _beside_video(cls, given: dict[Category, PriceSettings]) -> dict[Category, PriceSettings]:
        return {**_video(), **given}

    @field_validator("gpu_prices")
    @classmethod
    def _beside_the_others(cls, given: dict[GpuName, float]) -> dict[GpuName, float]:
        return {**LIST_PRICES, **given}

    gpu_point_dollars: Share = Field(
        default=0.000337, description="Dollars that one point stands for where a list price is the price."
    )
    quote_over: Amount = Field(
        default=Decimal(100), description="Orders that will likely cost more points than this say so before they begin."
    )
    api_floor: Amount = Field(default=Decimal(50), description="Purchased points that the API asks for at least.")
    api_warning: Amount = Field(default=Decimal(1000), description="Purchased points under which the API warns.")
    cook_floor: Amount = Field(default=Decimal(100), description="Purchased points that a batch asks for at least.")
    tutorial: Amount = Field(
        default=Decimal(1000), description="Purchased points that everybody is given once, at the first `/start`."
    )
    dollar: Annotated[Amount, Field(gt=0)] = Field(default=Decimal(1000), description="Points that one dollar buys.")


class TierSettings(Section):
    """Limits of the people in a tier; what is left out is as in `limits`."""

    open_orders: Count | None = Field(default=None, description="Orders that a person may have waiting or running.")
    daily_orders: int | None = Field(default=None, ge=0, description="Orders a person may make a day; 0: no limit.")
