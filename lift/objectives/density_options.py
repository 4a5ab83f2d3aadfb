"""`DensityOptions`: times that are drawn by a measured density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lift.errors import LiftError
from lift.fields import option
from lift.objectives.methods import METHODS, time_density_problem
from lift.objectives.time_density_file import read_time_density


@dataclass
class DensityOptions:
    """Which density times are drawn by. Whoever takes them calls `check_density`."""

    time_density: str | None = option(
        None,
        "File of lift measure-t: draw times by its density, more often where the loss varies, and weight each by one "
        "over it, so that the loss is the same in the mean. method=ppots needs one.",
    )
    max_importance: float = option(
        1e6, "Highest weight of a time drawn by time_density; what it cuts off biases the loss.", within="(0, inf)"
    )

    def check_density(self, method: str, distribution: str, time_range: Sequence[float]) -> None:
        """Check that there is a density where one is needed, that its file holds one, and that it fits the rest.

        Args:
            method: of `METHODS`.
            distribution: of the uniform draws that the density changes.
            time_range: lowest and highest diffusion time that are trained.

        Raises:
            LiftError: it does not; the sentence names the file.
        """
        if self.time_density is None:
            if METHODS[method].needs_density:
                raise LiftError(
                    f"method={method!r} draws times by a measured density: set time_density to a file of lift "
                    "measure-t."
                )
            return
        if problem := time_density_problem(method):
            raise LiftError(problem)
        if distribution in ("discrete", "fixed"):
            raise LiftError(
                f"time_density changes draws from all of [0, 1], which timestep_distribution={distribution} does not "
                "give: use uniform, low_discrepancy or antithetic, or leave time_density out."
            )
        measured = read_time_density(self.time_density).time_range
        if measured is not None and measured != (*time_range,):
            raise LiftError(
                "time_density {} was measured at times from {:g} to {:g}, and those trained go from {:g} to {:g}: "
                "measure it with the same time_range and time_epsilon.".format(
                    self.time_density, *measured, *time_range
                )
            )
