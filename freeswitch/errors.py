"""The errors of this room, sorted by what is known about the command that met them.

`EslError`
    `CommandError`      what was asked cannot be put on the wire (a line feed in a value): our caller's mistake.
    `AuthRefused`       the switch does not let us in: password, access list, or a first word that is not ESL.
    `CommandRefused`    the switch answered ``-ERR`` or ``-USAGE``: nothing was done; ``text`` is its answer.
    `NotSent`           the link was lost, or our guard said no, before a byte left us: nothing was done.
    `OutcomeUnknown`    the bytes left and no answer came back: it may have been done. Never repeat it blindly.
    `ProtocolError`     the far side does not speak the Event Socket as we know it; the link cannot go on.

This tree has no parent in ``core``: this room knows no other. ``core`` translates at its own border.
"""


class EslError(Exception):
    """Base of every error that this room raises on purpose."""


class ProtocolError(EslError):
    """The bytes received cannot be Event Socket traffic; the stream cannot be trusted from here on."""


class CommandError(EslError):
    """What was asked for cannot be written as one command; nothing was sent."""


class NotSent(EslError):
    """No byte of the command left this process; it may be asked again elsewhere or later."""


class OutcomeUnknown(EslError):
    """The command left and its answer did not arrive; the switch may have carried it out."""


class AuthRefused(EslError):
    """The switch closed its door: wrong password, not in the access list, or not an Event Socket."""


class CommandRefused(EslError):
    """The switch answered that it will not; nothing was done.

    ``text`` is the switch's own answer without the final line feed, ``reason`` the part after ``-ERR``.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def reason(self) -> str:
        """``USER_BUSY`` of ``-ERR USER_BUSY``: what follows the first word."""
        return self.text.partition(" ")[2].strip() if self.text.startswith("-") else self.text.strip()
