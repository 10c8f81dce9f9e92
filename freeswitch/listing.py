"""``show channels as json`` and ``show registrations as json``: the switch's own tables. Pure.

It is read from the switch's SQL table, which lags behind the events (tens of milliseconds, more under load): a
channel that is missing here may just have begun. ``uuid_exists`` is exact. No rows means no ``rows`` key.
"""

import msgspec

from freeswitch.errors import ProtocolError


class ChannelRow(msgspec.Struct, frozen=True):
    """One channel as the switch lists it; every column is text, missing ones are empty."""

    uuid: str
    direction: str = ""
    created: str = ""
    created_epoch: str = ""
    name: str = ""
    state: str = ""
    cid_name: str = ""
    cid_num: str = ""
    ip_addr: str = ""
    dest: str = ""
    application: str = ""
    application_data: str = ""
    dialplan: str = ""
    context: str = ""
    read_codec: str = ""
    write_codec: str = ""
    secure: str = ""
    hostname: str = ""
    presence_id: str = ""
    accountcode: str = ""
    callstate: str = ""
    callee_name: str = ""
    callee_num: str = ""
    call_uuid: str = ""
    initial_cid_name: str = ""
    initial_cid_num: str = ""
    initial_dest: str = ""


class _Listing(msgspec.Struct):
    row_count: int
    rows: list[dict[str, str | None]] = []


_decode = msgspec.json.Decoder(_Listing).decode


def read_channels(text: str) -> list[ChannelRow]:
    """The rows of ``show channels as json``. Raises `ProtocolError` when it is none or rows are missing."""
    try:
        listing = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as exc:
        raise ProtocolError("the list of channels is not what the switch promises") from exc
    if len(listing.rows) != listing.row_count:
        raise ProtocolError(f"the list of channels has {len(listing.rows)} of {listing.row_count} rows")
    # A column that is NULL in the switch's table reads as empty text, like an absent one.
    rows = [{key: value for key, value in row.items() if value is not None} for row in listing.rows]
    try:
        return msgspec.convert(rows, list[ChannelRow])
    except msgspec.ValidationError as exc:
        raise ProtocolError("a row of the list of channels has no uuid") from exc


class RegistrationRow(msgspec.Struct, frozen=True):
    """One registered telephone as the switch lists it."""

    reg_user: str = ""
    realm: str = ""
    url: str = ""
    expires: str = ""
    """Seconds since the epoch."""
    network_ip: str = ""
    network_port: str = ""
    network_proto: str = ""


def read_registrations(text: str) -> list[RegistrationRow]:
    """The rows of ``show registrations as json``. Raises `ProtocolError` when it is none."""
    try:
        listing = _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as exc:
        raise ProtocolError("the list of registrations is not what the switch promises") from exc
    known = RegistrationRow.__struct_fields__
    return [
        RegistrationRow(**{name: row.get(name) or "" for name in known if name in row})
        for row in listing.rows
    ]
