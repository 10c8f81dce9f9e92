"""Where in FreeSWITCH each event is fired: the three Event-Calling headers of every event, as data.

File, function and line are those of 1.10.12 as they appear in the captures, or, for events no capture
holds, as read in that release's source.
"""

from typing import NamedTuple


class Origin(NamedTuple):
    """One place that fires an event."""

    event: str
    """Value of Event-Name."""
    lines: str
    """The three Event-Calling headers, ready to be sent."""
    variables: bool
    """Whether the event carries the channel's variables (switch_channel_event_set_extended_data)."""
    subclass: str = ""
    """Value of Event-Subclass: for CUSTOM events only."""

    @property
    def kind(self) -> str:
        """What a subscription is matched against: ``CUSTOM:sofia::register`` or the event's name."""
        return f"CUSTOM:{self.subclass}" if self.subclass else self.event


WITH_VARIABLES = frozenset(
    [
        "CHANNEL_CREATE",
        "CHANNEL_ORIGINATE",
        "CHANNEL_UUID",
        "CHANNEL_ANSWER",
        "CHANNEL_PARK",
        "CHANNEL_UNPARK",
        "CHANNEL_BRIDGE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "REQUEST_PARAMS",
        "CHANNEL_DATA",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_DESTROY",
        "SESSION_HEARTBEAT",
        "API",
        "RECORD_START",
        "RECORD_STOP",
        "PLAYBACK_START",
        "PLAYBACK_STOP",
        "CALL_UPDATE",
        "MEDIA_BUG_START",
        "MEDIA_BUG_STOP",
        "CHANNEL_HOLD",
        "CHANNEL_UNHOLD",
        "TEXT",
        "CUSTOM",
    ]
)


def origin(event: str, file: str, function: str, line: int, subclass: str = "") -> Origin:
    """Return the place in ``file`` that fires ``event``."""
    lines = (
        f"Event-Calling-File: {file}\nEvent-Calling-Function: {function}\nEvent-Calling-Line-Number: {line}\n"
    )
    return Origin(event, lines, event in WITH_VARIABLES, subclass)


API = origin("API", "switch_loadable_module.c", "switch_api_execute", 2954)
BACKGROUND_JOB = origin("BACKGROUND_JOB", "mod_event_socket.c", "api_exec", 1572)
CALL_UPDATE_SENT = origin("CALL_UPDATE", "mod_sofia.c", "sofia_receive_message", 2100)
CALL_UPDATE_FLIP = origin("CALL_UPDATE", "switch_channel.c", "switch_channel_flip_cid", 3277)
CHANNEL_ANSWER = origin("CHANNEL_ANSWER", "switch_channel.c", "switch_channel_perform_mark_answered", 3846)
CHANNEL_BRIDGE = origin("CHANNEL_BRIDGE", "switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", 1689)
CHANNEL_CALLSTATE = origin(
    "CHANNEL_CALLSTATE", "switch_channel.c", "switch_channel_perform_set_callstate", 301
)
CHANNEL_CREATE = origin("CHANNEL_CREATE", "switch_core_state_machine.c", "switch_core_session_run", 626)
CHANNEL_DATA = origin("CHANNEL_DATA", "mod_event_socket.c", "parse_command", 2021)
CHANNEL_DATA_DUMP = origin("CHANNEL_DATA", "mod_commands.c", "uuid_dump_function", 6468)
CHANNEL_DESTROY = origin(
    "CHANNEL_DESTROY", "switch_core_session.c", "switch_core_session_perform_destroy", 1584
)
CHANNEL_EXECUTE = origin("CHANNEL_EXECUTE", "switch_core_session.c", "switch_core_session_exec", 2944)
CHANNEL_EXECUTE_COMPLETE = origin(
    "CHANNEL_EXECUTE_COMPLETE", "switch_core_session.c", "switch_core_session_exec", 2967
)
CHANNEL_EXECUTE_SOFT = origin("CHANNEL_EXECUTE", "switch_ivr_bridge.c", "uuid_bridge_on_soft_execute", 1236)
CHANNEL_EXECUTE_SOFT_OTHER = origin(
    "CHANNEL_EXECUTE", "switch_ivr_bridge.c", "uuid_bridge_on_soft_execute", 1243
)
CHANNEL_HANGUP = origin("CHANNEL_HANGUP", "switch_channel.c", "switch_channel_perform_hangup", 3445)
CHANNEL_HANGUP_COMPLETE = origin(
    "CHANNEL_HANGUP_COMPLETE", "switch_core_state_machine.c", "switch_core_session_reporting_state", 943
)
CHANNEL_HOLD = origin("CHANNEL_HOLD", "switch_ivr.c", "switch_ivr_hold", 1558)
CHANNEL_ORIGINATE = origin("CHANNEL_ORIGINATE", "switch_core_state_machine.c", "switch_core_session_run", 632)
CHANNEL_OUTGOING = origin(
    "CHANNEL_OUTGOING", "switch_core_session.c", "switch_core_session_outgoing_channel", 768
)
CHANNEL_PARK = origin("CHANNEL_PARK", "switch_ivr.c", "switch_ivr_park", 1002)
CHANNEL_PROGRESS = origin(
    "CHANNEL_PROGRESS", "switch_channel.c", "switch_channel_perform_mark_ring_ready_value", 3505
)
CHANNEL_PROGRESS_MEDIA = origin(
    "CHANNEL_PROGRESS_MEDIA", "switch_channel.c", "switch_channel_perform_mark_pre_answered", 3589
)
CHANNEL_STATE = origin("CHANNEL_STATE", "switch_channel.c", "switch_channel_perform_set_running_state", 2408)
CHANNEL_UNBRIDGE = origin("CHANNEL_UNBRIDGE", "switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", 1879)
CHANNEL_UNHOLD = origin("CHANNEL_UNHOLD", "switch_ivr.c", "switch_ivr_unhold", 1638)
CHANNEL_UNPARK = origin("CHANNEL_UNPARK", "switch_ivr.c", "switch_ivr_park", 1213)
CODEC_READ = origin("CODEC", "switch_core_codec.c", "switch_core_session_set_real_read_codec", 168)
CODEC_READ_APP = origin("CODEC", "switch_core_codec.c", "switch_core_session_set_read_codec", 279)
CODEC_WRITE = origin("CODEC", "switch_core_codec.c", "switch_core_session_set_write_codec", 450)
DTMF = origin("DTMF", "switch_channel.c", "switch_channel_dequeue_dtmf", 677)
HEARTBEAT = origin("HEARTBEAT", "switch_core.c", "send_heartbeat", 95)
MEDIA_BUG_START = origin("MEDIA_BUG_START", "switch_core_media_bug.c", "switch_core_media_bug_add", 1014)
MEDIA_BUG_STOP = origin("MEDIA_BUG_STOP", "switch_core_media_bug.c", "switch_core_media_bug_destroy", 84)
PLAYBACK_START = origin("PLAYBACK_START", "switch_ivr_play_say.c", "switch_ivr_play_file", 1646)
PLAYBACK_STOP = origin("PLAYBACK_STOP", "switch_ivr_play_say.c", "switch_ivr_play_file", 2020)
PRESENCE_CONFERENCE = origin("PRESENCE_IN", "mod_conference.c", "conference_send_presence", 3870)
PRESENCE_UNREGISTER = origin("PRESENCE_IN", "sofia_reg.c", "sofia_reg_del_callback", 741)
COMMAND_HOOK = origin(
    "COMMAND", "switch_core_session.c", "switch_core_session_execute_application_async", 2692
)
COMMAND_BLEG = origin("COMMAND", "switch_ivr_async.c", "switch_ivr_broadcast", 5699)
COMMAND_ALEG = origin("COMMAND", "switch_ivr_async.c", "switch_ivr_broadcast", 5731)
COMMAND_HANGUP = origin("COMMAND", "switch_ivr_async.c", "switch_ivr_broadcast", 5754)
SHUTDOWN = origin("SHUTDOWN", "switch_core.c", "switch_core_destroy", 3024)
PRIVATE_COMMAND = origin("PRIVATE_COMMAND", "switch_ivr.c", "switch_ivr_parse_next_event", 804)
RECORD_START = origin("RECORD_START", "switch_ivr_async.c", "record_callback", 1481)
RECORD_STOP = origin("RECORD_STOP", "switch_ivr_async.c", "send_record_stop_event", 1240)
RELOADXML = origin("RELOADXML", "switch_xml.c", "switch_xml_open_root", 2385)
RE_SCHEDULE = origin("RE_SCHEDULE", "switch_scheduler.c", "switch_scheduler_execute", 73)
SENDEVENT = ("mod_event_socket.c", "parse_command", 2275)
