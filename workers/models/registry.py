"""The registry of architectures: a name and a configuration give a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from emserve.errors import EmserveError
from workers.models.panoptic import PanopticNetwork
from workers.models.panoptic_bifpn import PanopticBiFPNConfig, PanopticBiFPNPR
from workers.models.panoptic_deeplab import PanopticDeepLabConfig, PanopticDeepLabPR


class InvalidArchitecture(EmserveError):
    """A model card names an architecture that is unknown, or configures it wrongly."""

    slug = "invalid-architecture"
    title = "The model's card does not describe a network"


@dataclass(frozen=True)
class Architecture:
    """A configuration class and the network class that takes it."""

    config: type[Any]  # each network's configuration class is its own
    network: Callable[[Any], PanopticNetwork]


ARCHITECTURES: Mapping[str, Architecture] = {
    "panoptic_deeplab_pr": Architecture(PanopticDeepLabConfig, PanopticDeepLabPR),
    "panoptic_bifpn_pr": Architecture(PanopticBiFPNConfig, PanopticBiFPNPR),
}


def build(name: str, config: Mapping[str, Any]) -> PanopticNetwork:
    """The network called `name`, with fresh weights, in training mode.

    `config` holds the fields of the architecture's configuration class; what it lacks has the default.
    Raises InvalidArchitecture for an unknown name, an unknown key or a bad value.
    """
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise InvalidArchitecture(f"There is no architecture {name!r}. Known architectures: {known}.")
    try:
        return architecture.network(TypeAdapter(architecture.config).validate_python(dict(config)))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']} (given: {fault['input']!r})"
            for fault in error.errors()
        )
        raise InvalidArchitecture(f"The configuration of {name} is wrong at {faults}.") from error


def build_outline(name: str, config: Mapping[str, Any]) -> PanopticNetwork:
    """As `build`, without any memory for the weights: on the device "meta"."""
    with torch.device("meta"):
        return build(name, config)
