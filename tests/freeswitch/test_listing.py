"""The switch's own list of channels, in all the shapes it comes in."""

import pytest

from freeswitch.errors import ProtocolError
from freeswitch.listing import read_channels


def test_no_channels_means_no_rows_key() -> None:
    assert read_channels('{"row_count":0}') == []
    assert read_channels('{"row_count": 0}\n') == []


def test_rows_are_read_and_columns_that_we_do_not_know_are_ignored() -> None:
    (row,) = read_channels(
        '{"row_count":1,"rows":[{"uuid":"u-1","cid_name":"Zoë","callstate":"ACTIVE","novel":"x","dest":null}]}'
    )
    assert (row.uuid, row.cid_name, row.callstate, row.dest) == ("u-1", "Zoë", "ACTIVE", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-ERR no reply",
        "[]",
        '{"row_count":2,"rows":[]}',
        '{"row_count":1,"rows":[{"cid_name":"no uuid"}]}',
        '{"row_count":1,"rows":[{"uuid":"u-1"}',
        '{"row_count":1,"rows":[{"uuid":7}]}',
    ],
)
def test_a_list_that_is_cut_or_contradicts_itself_is_refused(text: str) -> None:
    """Taking half a list for the whole would end the calls of the other half."""
    with pytest.raises(ProtocolError):
        read_channels(text)
