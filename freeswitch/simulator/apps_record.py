"""Applications that record, and holding."""

from freeswitch.simulator import executing, holding, recording
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.timing import Thread


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


@app("record_session")
def record_session(channel: Channel, data: str) -> None:
    path, _, limit = data.partition("+")
    recording.start(channel, path.strip(), limit_s=_seconds(limit.strip()))


@app("stop_record_session")
def stop_record_session(channel: Channel, data: str) -> None:
    if data == "all":
        recording.stop_all(channel)
    elif (running := channel.recordings.get(data)) is not None:
        running.stop(channel)


@app("record_session_mask")
def record_session_mask(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(masked=True)


@app("record_session_unmask")
def record_session_unmask(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(masked=False)


@app("record_session_pause")
def record_session_pause(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(paused=True)


@app("record_session_resume")
def record_session_resume(channel: Channel, data: str) -> None:
    if (running := channel.recordings.get(data)) is not None:
        running.set(paused=False)


@app("record", media=True)
def record(channel: Channel, data: str) -> Thread:
    """``path [limit_s]``: record the caller until a key is pressed."""
    path, _, limit = data.partition(" ")
    if not recording.start(channel, path, limit_s=_seconds(limit.split(" ")[0])):
        return
    seconds = _seconds(limit.split(" ")[0]) or None
    yield from executing.pause(channel, seconds, on_digit=lambda key: True)
    if (running := channel.recordings.get(path)) is not None:
        running.stop(channel)


@app("hold")
def hold(channel: Channel, data: str) -> None:
    holding.hold(channel)


@app("unhold")
def unhold(channel: Channel, data: str) -> None:
    holding.unhold(channel)
