"""Messages that came over a session, pure: names for them, and long ones put together. Its state survives a restart.

SMPP 3.4 gives an inbound message no id, and delivers it again, after a reconnection, when our answer got lost. So each
gets a name of ours *before* it is stored, and until the centre has certainly read our answer the name is kept with a
digest of the message: what comes again after a restart gets the same name, and is recognised as a repetition.

Parts of a long message are answered one by one (many centres send the next only then), so they are kept here, too. A
part that never comes must not take the others with it: after `JOIN_S` they are shown with a gap.
"""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from irisx_channels.sms.smpp.codec import Short
from irisx_channels.sms.smpp.coding import Came

JOIN_S = 900
REPEATED_S = 3600
"""How long after the first delivery an equal message may be a repetition of it."""
MAX_SEEN = 2000
MAX_GROUPS = 1000
"""More at once are somebody's attack or a broken phone: the oldest is shown as it is."""
GAP = "[…]"


class Arrived(Struct, frozen=True):
    """A whole message, or what there is of it."""

    id: str
    source: str
    dest: str
    text: str
    binary: bool = False


class _Seen(Struct):
    digest: str
    id: str
    at_us: int


class _Group(Struct):
    source: str
    dest: str
    reference: int
    total: int
    id: str
    at_us: int
    parts: dict[str, str]
    names: list[str] = []
    done: bool = False


class _Saved(Struct):
    seen: list[_Seen] = []
    groups: list[_Group] = []
    bases: str = "same"


class Arrivals:
    """What came and is not settled yet."""

    def __init__(self, saved: bytes, now_us: int) -> None:
        try:
            kept = msgspec.json.decode(saved, type=_Saved) if saved else _Saved()
        except msgspec.DecodeError:
            kept = _Saved()  # (of another version: at worst something is shown twice)
        self.bases = kept.bases
        """What was learned about the ids of receipts."""
        self._before = [one for one in kept.seen if now_us - one.at_us < REPEATED_S * 1_000_000]
        self._seen: dict[str, _Seen] = {}
        self._groups = {_key(one): one for one in kept.groups if not one.done}
        self._done = {one.id: one for one in kept.groups if one.done}
        self._start_us = now_us
        self._count = 0

    def pending(self) -> list[Arrived]:
        """What was whole before a restart, and may not have been stored: storing it again does no harm."""
        return [_joined(group) for group in self._done.values()]

    def take(self, body: bytes, short: Short, came: Came, now_us: int) -> tuple[list[str], list[Arrived]]:
        """Names to `settle` by when the centre knows that we have it, and the messages that are whole now."""
        name = self._name(hashlib.sha256(body).hexdigest()[:32], now_us)
        if came.total == 1:
            return [name], [Arrived(name, short.source, short.dest, came.text, came.binary)]
        if name in self._done:  # a part of what is whole already
            return [name], [_joined(self._done[name])]
        whole: list[_Group] = []
        number = str(came.number)
        group = _Group(short.source, short.dest, came.reference, came.total, name, now_us, {})
        old = self._groups.get(_key(group))
        if old is not None and old.parts.get(number, came.text) != came.text:
            # The phone has counted round: the same reference is another message's now.
            whole.append(self._groups.pop(_key(group)))
            old = None
        if old is None:
            old = self._groups.setdefault(_key(group), group)
        old.parts[number] = came.text
        old.names = [*old.names, name]
        if len(old.parts) == old.total:
            whole.append(self._groups.pop(_key(old)))
            # From now on each part's name stands for the whole: whichever comes again is a repetition of it.
            for part in old.names:
                if part in self._seen:
                    self._seen[part].id = old.id
        if len(self._groups) > MAX_GROUPS:
            whole.append(self._groups.pop(next(iter(self._groups))))
        return [name, *(one.id for one in whole)], self._finished(whole)

    def settle(self, names: Iterable[str]) -> None:
        """The centre knows that we have these: nothing of them can come again."""
        settled = set(names)
        for name in settled:
            self._done.pop(name, None)
        self._seen = {key: one for key, one in self._seen.items() if one.id not in settled}

    def overdue(self, now_us: int) -> list[Arrived]:
        """Messages whose missing parts nobody waits for any more: `settle` them when they are stored."""
        late = [key for key, group in self._groups.items() if now_us - group.at_us >= JOIN_S * 1_000_000]
        return self._finished([self._groups.pop(key) for key in late])

    def _finished(self, groups: list[_Group]) -> list[Arrived]:
        # (kept until they are settled, so that a failure to store them loses nothing: the centre sends no part again)
        for group in groups:
            group.done = True
            self._done[group.id] = group
        return [_joined(group) for group in groups]

    def dump(self) -> bytes:
        """To begin with after a restart."""
        seen = [*self._before, *self._seen.values()][-MAX_SEEN:]
        return msgspec.json.encode(_Saved(seen, [*self._groups.values(), *self._done.values()], self.bases))

    def _name(self, digest: str, now_us: int) -> str:
        again = next((one for one in self._before if one.digest == digest), None)
        if again is not None:
            self._before.remove(again)
            made = again.id
        else:
            self._count += 1
            made = f"{self._start_us:x}-{self._count}"
        self._seen[made] = _Seen(digest, made, now_us)
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return made


def _key(group: _Group) -> tuple[str, str, int, int]:
    return group.source, group.dest, group.reference, group.total


def _joined(group: _Group) -> Arrived:
    text = "".join(group.parts.get(str(number), GAP) for number in range(1, group.total + 1))
    return Arrived(group.id, group.source, group.dest, text)
