"""A small SIP user agent for agents' legs: the controller calls the switch, never the other way round.

Sans-I/O. `Stream` cuts a TCP connection into messages, `UserAgent` knows what to say and when to stop waiting, `Dialog`
is what another process needs to go on with a leg. One TCP connection carries the legs of one switch.
"""

from freeswitch.sip.agent import Answered, Ended, Event, Failed, Progress, UserAgent
from freeswitch.sip.dialog import Dialog
from freeswitch.sip.making import Identity
from freeswitch.sip.stream import SipError, Stream

__all__ = [
    "Answered",
    "Dialog",
    "Ended",
    "Event",
    "Failed",
    "Identity",
    "Progress",
    "SipError",
    "Stream",
    "UserAgent",
]
