"""A stand-in switch that speaks the Event Socket so that a client cannot tell it from FreeSWITCH."""

from freeswitch.simulator.living import LIVING
from freeswitch.simulator.scripts import (
    NEVER,
    Caller,
    Digits,
    Extension,
    Person,
    Rule,
    Span,
    Traffic,
    Visit,
    fixed,
)
from freeswitch.simulator.server import Simulator, run, serve
from freeswitch.simulator.settings import EslUser, FaultSettings, SimulatorSettings

__all__ = [
    "LIVING",
    "NEVER",
    "Caller",
    "Digits",
    "EslUser",
    "Extension",
    "FaultSettings",
    "Person",
    "Rule",
    "Simulator",
    "SimulatorSettings",
    "Span",
    "Traffic",
    "Visit",
    "fixed",
    "run",
    "serve",
]
