"""Whose doing it was that a message did not arrive: only what the provider says of itself is its own fault."""

import pytest

from irisx_channels.sms import outcomes
from irisx_channels.sms.telnyx.codes import CODES as TELNYX
from irisx_channels.sms.twilio.codes import CODES as TWILIO


@pytest.mark.parametrize(
    ("codes", "code", "own"),
    [
        (TWILIO, "30001", True),  # its queue was full
        (TWILIO, "30002", True),  # its account is suspended
        (TWILIO, "30003", False),  # the handset is off
        (TWILIO, "30005", False),  # nobody has this number
        (TWILIO, "30007", False),  # taken for spam: it stays spam, whoever carries it
        (TWILIO, "30008", False),  # nobody says why
        (TWILIO, "31999", False),  # a code that nobody knows
        (TWILIO, "", False),
        (TELNYX, "40006", False),  # the receiver's network
        (TELNYX, "40011", True),  # too fast for the network behind
        (TELNYX, "40014", True),  # it never left
    ],
)
def test_a_lost_message_is_the_provider_s_own_fault_only_where_it_says_so(
    codes: outcomes.Codes, code: str, own: bool
) -> None:
    for state in ("failed", "undelivered"):
        assert outcomes.receipt("m1", state, code, codes).own_fault is own
    assert not outcomes.receipt("m1", "sent", code, codes).own_fault


def test_what_the_receiver_s_network_reports_may_pass_by_itself() -> None:
    assert outcomes.receipt("m1", "undelivered", "30003", TWILIO).permanent is False
