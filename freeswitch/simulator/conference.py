"""Conferences: members, the floor, and the ``conference::maintenance`` events about both."""

from freeswitch.simulator import origins as at
from freeswitch.simulator import recording
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.desk import Source
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.wire import Pair

_SUBCLASS = "conference::maintenance"
_CODE = {
    "conference-create": ("mod_conference.c", "conference_new", 3848),
    "conference-destroy": ("mod_conference.c", "conference_thread_run", 863),
    "add-member": ("conference_member.c", "conference_member_add", 962),
    "del-member": ("conference_member.c", "conference_member_del", 1355),
    "floor-change": ("conference_member.c", "conference_member_set_floor_holder", 1158),
    "start-recording": ("conference_record.c", "conference_record_thread_run", 319),
    "stop-recording": ("conference_record.c", "conference_record_thread_run", 427),
    "mute-member": ("conference_api.c", "conference_api_sub_mute", 339),
    "unmute-member": ("conference_api.c", "conference_api_sub_unmute", 492),
    "deaf-member": ("conference_api.c", "conference_api_sub_deaf", 797),
    "undeaf-member": ("conference_api.c", "conference_api_sub_undeaf", 839),
    "kick-member": ("conference_api.c", "conference_api_sub_kick", 902),
    "hup-member": ("conference_api.c", "conference_api_sub_hup", 871),
    "hold-member": ("conference_api.c", "conference_api_sub_hold", 440),
    "unhold-member": ("conference_api.c", "conference_api_sub_unhold", 389),
    "volume-in-member": ("conference_api.c", "conference_api_sub_volume_in", 1574),
    "volume-out-member": ("conference_api.c", "conference_api_sub_volume_out", 1640),
    "energy-level-member": ("conference_api.c", "conference_api_sub_energy", 1228),
    "dtmf-member": ("conference_api.c", "conference_api_sub_dtmf", 1049),
    "dtmf": ("conference_loop.c", "conference_loop_input", 1160),
    "lock": ("conference_api.c", "conference_api_sub_lock", 3474),
    "unlock": ("conference_api.c", "conference_api_sub_unlock", 3496),
    "play-file": ("conference_api.c", "conference_api_sub_play", 2817),
    "play-file-done": ("conference_file.c", "conference_file_close", 52),
    "play-file-member": ("conference_api.c", "conference_api_sub_play", 2853),
    "transfer": ("conference_api.c", "conference_api_sub_transfer", 3704),
    "start-talking": ("conference_loop.c", "conference_loop_input", 838),
    "stop-talking": ("conference_loop.c", "conference_loop_input", 1011),
}


def _origin(action: str) -> at.Origin:
    file, function, line = _CODE[action]
    # These carry the channel's basic data only: the module fires them without its variables.
    return at.origin("CUSTOM", file, function, line, _SUBCLASS)._replace(variables=False)


_ORIGINS = {action: _origin(action) for action in _CODE}


class Member:
    """One member: a channel and what it may hear, say and do."""

    def __init__(self, room: "Conference", channel: Channel, number: int) -> None:
        self.room = room
        self.channel = channel
        self.number = number
        self.hear = True
        self.speak = True
        self.talking = False
        self.hold = False
        self.moderator = False
        self.energy = 100
        self.volume_in = 0
        self.volume_out = 0
        self.joined = channel.switch.monotonic()
        self.leaving = False
        self.kicked = False

    def headers(self) -> list[Pair]:
        """Return the member's own headers."""

        def yes(value: bool) -> str:
            return "true" if value else "false"

        return [
            ("Video", "false"),
            ("Hear", yes(self.hear)),
            ("See", "true"),
            ("Speak", yes(self.speak)),
            ("Talking", yes(self.talking)),
            ("Mute-Detect", "false"),
            ("Hold", yes(self.hold)),
            ("Member-ID", str(self.number)),
            ("Member-Type", "moderator" if self.moderator else "member"),
            ("Member-Ghost", "false"),
            ("Energy-Level", str(self.energy)),
            ("Current-Energy", "0"),
        ]


class Conference:
    """One room. It begins with its first member and ends with its last."""

    def __init__(self, switch: Switch, name: str, profile: str) -> None:
        self.switch = switch
        self.name = name
        self.profile = profile
        self.domain = switch.settings.ipv4
        self.uuid = switch.new_uuid()
        self.members: dict[int, Member] = {}
        self.floor: Member | None = None
        self.locked = False
        self.recordings: dict[str, tuple[recording.WavFile | None, float]] = {}
        self.began = switch.monotonic()
        self.presence_count = 0
        self.max_members = 0
        switch.conferences[name] = self
        self.fire("conference-create")
        switch.threads.after(0.5, self.choose_floor)

    def headers(self) -> list[Pair]:
        """Return the room's headers, at the front of every event about it."""
        return [
            ("Conference-Name", self.name),
            ("Conference-Domain", self.domain),
            ("Conference-Size", str(len(self.members))),
            ("Conference-Ghosts", "0"),
            ("Conference-Profile-Name", self.profile),
            ("Conference-Unique-ID", self.uuid),
        ]

    def fire(self, action: str, member: Member | None = None, more: list[Pair] | None = None) -> None:
        """Fire an event about the room or one of its members."""
        if not self.switch.desk.wanted(_ORIGINS[action].kind):
            self.switch.desk.stamp()
            return
        before = self.headers()
        after: list[Pair] = []
        source: Source | None = None
        tail: list[Pair] = [("Action", action), *(more or [])]
        if member is None:
            before += tail
        else:
            before.append(("Floor", "true" if member is self.floor else "false"))
            source = member.channel
            after = member.headers() + tail
            if action == "transfer":
                after = [*member.headers(), *(more or []), ("Action", action)]
        self.switch.desk.fire(_ORIGINS[action], source, before=before, after=after)

    def fire_plain(self, action: str, tail: list[Pair]) -> None:
        """Fire an event about the room whose last headers are ``tail``."""
        self.switch.desk.fire(_ORIGINS[action], before=self.headers() + tail)

    def choose_floor(self) -> None:
        """Give the floor to the newest member when nobody has it."""
        if self.floor is None and self.members:
            self.give_floor(self.members[max(self.members)])

    def give_floor(self, member: Member | None) -> None:
        """Change the floor and say so (floor-change)."""
        old = self.floor
        if member is old:
            return
        self.floor = member
        desk = self.switch.desk
        before = self.headers()
        before += [("Action", "floor-change"), ("Old-ID", str(old.number) if old else "none")]
        if member is None:
            before.append(("New-ID", "none"))
            desk.fire(_ORIGINS["floor-change"], None, before=before)
            return
        before += [*self.headers(), ("Floor", "true")]
        after = [*member.headers(), ("New-ID", str(member.number))]
        desk.fire(_ORIGINS["floor-change"], member.channel, before=before, after=after)

    def presence(self) -> None:
        """Fire the presence of the room as a phone would show it."""
        count = len(self.members)
        before: list[Pair] = [
            ("proto", "conf"),
            ("login", self.name),
            ("from", f"{self.name}@{self.domain}"),
            ("event_type", "presence"),
            ("alt_event_type", "dialog"),
            ("event_count", str(self.presence_count)),
            ("unique-id", self.name),
        ]
        self.presence_count += 1
        if count:
            words = f"Active ({count} caller{'' if count == 1 else 's'})"
            before += [
                ("force-status", words),
                ("channel-state", "CS_ROUTING"),
                ("answer-state", "early" if count == 1 else "confirmed"),
                ("presence-call-direction", "outbound" if count == 1 else "inbound"),
            ]
        else:
            before += [
                ("force-status", "Inactive"),
                ("channel-state", "CS_HANGUP"),
                ("answer-state", "terminated"),
                ("call-direction", "inbound"),
            ]
        self.switch.desk.fire(at.PRESENCE_CONFERENCE, before=before)

    def start_recording(self, path: str) -> None:
        """Record the room's sound into a WAV file."""
        file: recording.WavFile | None = None
        if path.startswith("/") and self.switch.settings.write_anywhere:
            try:
                file = recording.WavFile(path, 1)
            except OSError:
                return
        self.recordings[path] = (file, self.switch.monotonic())
        self.fire("start-recording", more=[("Path", path)])
        self.presence()

    def stop_recording(self, path: str) -> None:
        """End a recording of the room."""
        file, since = self.recordings.pop(path)
        samples = int((self.switch.monotonic() - since) * 50) * 160
        if file is not None:
            file.append(samples, silent=False)
            file.close()
        self.fire(
            "stop-recording",
            more=[
                ("Path", path),
                ("Other-Recordings", "true" if self.recordings else "false"),
                ("Samples-Out", str(samples)),
                ("Samplerate", "8000"),
                ("Milliseconds-Elapsed", str(samples // 8)),
                ("Record-File-Size", str(44 + samples * 2)),
            ],
        )

    def close_files(self) -> None:
        """Close the files of all recordings without saying anything."""
        for file, _ in self.recordings.values():
            if file is not None:
                file.close()

    def end(self) -> None:
        """Close the room after its last member."""
        for path in list(self.recordings):
            self.stop_recording(path)
        if self.switch.conferences.get(self.name) is self:
            del self.switch.conferences[self.name]
        self.presence()
        self.fire("conference-destroy")


def wake(member: Member) -> None:
    """Let a member's thread notice that it is to leave."""
    member.channel.broken = True
    member.channel.wake()
