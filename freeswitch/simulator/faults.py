"""Faults on purpose: what networks and busy switches do to a client, switched on by name.

``api sim fault NAME ...`` (see `api.control`) and `FaultSettings` lead here.
"""

from freeswitch.simulator.switch import Switch


def on(switch: Switch, name: str) -> bool:
    """Say whether a lasting fault is switched on."""
    return name in switch.faults_on
