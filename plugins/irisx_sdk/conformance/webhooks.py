"""Reading webhooks: the right ones, the forged ones, the old ones, the broken ones."""

import contextlib
import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from irisx_sdk.channel import Account, Parsed, Request
from irisx_sdk.conformance.poison import TEXTS, believing, bodies
from irisx_sdk.conformance.scene import MARK, Broken, Scene, Skipped, secrets_of, with_wrong
from irisx_sdk.errors import BadSignature, ChannelError, Malformed, Misconfigured
from irisx_sdk.fake import Delivery
from irisx_sdk.messages import Inbound, Text

QUICK_MS = 50
"""Of processor time, for a webhook of 1 MB."""
LATER_S = 6 * 3600
OLD_S = 30 * 86_400
MOST_ID = 512
"""Characters of a provider's id that the platform keeps."""

_REFUSED = (BadSignature, Misconfigured)


def run(scene: Scene) -> None:
    """All of them; none applies to a channel that reads no webhooks."""
    if not scene.channel.capabilities.webhook:
        with scene.check("webhooks are read"):
            raise Skipped("the channel takes no webhooks")
        return
    checks: list[tuple[str, Callable[[Scene], str | None]]] = [
        ("what a customer writes arrives as written", as_written),
        ("the same delivery gives the same ids, two messages never do", stable_ids),
        ("reading reads no clock, no file and no network", pure),
        ("a webhook of 1 MB is read within 50 ms", quick),
        ("a forged webhook is refused", forged),
        ("an old webhook is refused when it is signed with its time", replayed),
        ("any bytes raise only the SDK's errors", arbitrary),
        ("poison content is read, and can be stored", poison),
    ]
    for name, check in checks:
        with scene.check(name) as remarks:
            remark = check(scene)
            if remark:
                remarks.append(remark)


def as_written(scene: Scene) -> None:
    text = f"Hello, is anybody there? ÄÖÜ {MARK}"
    message = _one(scene, scene.say(text))
    scene.met = message
    if not isinstance(message.content, Text) or message.content.text.strip() != text:
        raise Broken(f"the text came as {_short(message.content)}")
    if message.sender.kind != scene.channel.address or not message.sender.value:
        raise Broken(
            f"the sender has kind {message.sender.kind!r}, the channel says {scene.channel.address!r}"
        )
    if not 0 < len(message.id) <= MOST_ID:
        raise Broken(f"an id of {len(message.id)} characters")


def stable_ids(scene: Scene) -> None:
    deliveries = scene.say(f"Twice {MARK}")
    first, again = scene.read(deliveries), scene.read(deliveries)
    if first != again:
        raise Broken("the same delivery was read in two ways")
    other = _one(scene, scene.say(f"Twice {MARK}"))
    if other.id == first.messages[0].id:
        raise Broken("two equal texts have the same id: the second would be taken for a repetition")
    if other.sender != first.messages[0].sender:
        raise Broken("the same person has two addresses")


def pure(scene: Scene) -> None:
    deliveries = scene.say(f"Pure {MARK}")
    scene.read(deliveries)  # (what is imported or compiled once, is not what we look for)
    with _WATCH.watched() as seen:
        scene.read(deliveries)
    if seen:
        raise Broken(f"reading did {', '.join(sorted(set(seen)))}")
    honest = scene.fake.clock
    scene.fake.clock = lambda: honest() + LATER_S
    try:
        scene.read(scene.say(f"Later {MARK}"))
    except BadSignature as refused:
        text = "refuses a webhook that was made and received in six hours' time: it reads the machine's clock"
        raise Broken(text) from refused
    finally:
        scene.fake.clock = honest


def quick(scene: Scene) -> str:
    text = (MARK + " lorem ipsum dolor sit amet ") * 30_000
    try:
        deliveries = scene.say(text)
    except ValueError:
        deliveries = []
    body = deliveries[0].body if deliveries else b""
    if len(body) < 500_000:  # this provider has no such messages: then the worst of what it could get
        deliveries = [
            msgspec.structs.replace(scene.say(MARK)[0], body=b"{" + b'"a":[1],' * 125_000 + b'"b":1}')
        ]
    best = float("inf")
    for _ in range(3):
        for delivery in deliveries[:1]:
            request = scene.fake.request(delivery)
            begun = time.thread_time()
            with contextlib.suppress(ChannelError):
                scene.parse(request)
            best = min(best, (time.thread_time() - begun) * 1000)
    if best > QUICK_MS:
        raise Broken(f"took {best:.0f} ms")
    return f"{best:.1f} ms"


def forged(scene: Scene) -> str | None:
    """Other secrets, other bodies, no credentials at all: each is refused, as far as this provider's proof reaches."""
    if scene.fake.covers == "nothing":
        raise Skipped("this provider's webhooks prove nothing: keep their address secret")
    delivery = scene.sample(f"Forged {MARK}")
    settings = scene.fake.settings
    names = list(secrets_of(settings)) or [
        name for name in settings.__struct_fields__ if isinstance(getattr(settings, name), str)
    ]
    names = [name for name in names if getattr(settings, name) and "url" not in name]
    refused = [
        name
        for name in names
        if _refuses(scene, scene.fake.request(delivery), Account("acc_kit", with_wrong(settings, name)))
    ]
    bare = msgspec.structs.replace(delivery, headers=_plain_headers(delivery), path="")
    without = _refuses(scene, scene.fake.request(bare))
    changed = msgspec.structs.replace(delivery, body=_retouched(delivery.body))
    retouched = _refuses(scene, scene.fake.request(changed))
    if not (refused or without or retouched):
        raise Broken("accepted with other secrets, without any headers, and with another body")
    if scene.fake.covers == "body" and not retouched:
        raise Broken(
            'a changed body is accepted; if this provider signs no bodies, say covers = "token" in its fake'
        )
    if scene.fake.covers == "token" and not (refused or without):
        raise Broken("accepted with other secrets and without any headers")
    return f"checked with {', '.join(refused)}" if refused else None


def replayed(scene: Scene) -> str:
    delivery = scene.sample(f"Old {MARK}")
    if _refuses(scene, scene.fake.request(delivery, age_s=OLD_S)):
        return "refused after 30 days"
    raise Skipped(
        "accepted after 30 days: the provider signs no time, and repetitions are known by their ids"
    )


def arbitrary(scene: Scene) -> str:
    """Random and almost right bodies, before and behind the signature."""
    sample = scene.sample(f"Sample {MARK}")
    count = 0
    for body in bodies(sample.body, scene.seed):
        signed = scene.fake.do(scene.fake.signed, body)
        requests = [scene.fake.request(signed)] if signed is not None else []
        loose = scene.fake.request(msgspec.structs.replace(sample, body=body))
        for request in (*requests, loose, msgspec.structs.replace(loose, headers={})):
            _survives(scene, request)
            count += 1
        with believing():
            _survives(scene, loose)
            count += 1
    for method in ("GET", "PUT"):
        _survives(scene, msgspec.structs.replace(scene.fake.request(sample), method=method))
    odd = {name: "\xff\0" * 50 for name in sample.headers}
    _survives(scene, scene.fake.request(msgspec.structs.replace(sample, headers=odd)))
    return f"{count + 3} requests"


def poison(scene: Scene) -> None:
    for kind, text in TEXTS.items():
        try:
            deliveries = scene.say(text)
        except (ValueError, UnicodeError):
            continue  # the provider has a rule against it
        try:
            parsed = scene.read(deliveries)
        except Malformed as error:
            if kind in ("empty", "half a character"):
                continue
            raise Broken(f"a text with {kind} is called malformed") from error
        _storable(parsed, kind)
    # JSON can say half a character, and nothing that stores text can.
    sample = scene.say(f"Half {MARK}")[0]
    halved = msgspec.structs.replace(sample, body=sample.body.replace(MARK.encode(), b"\\ud800"))
    with believing(), contextlib.suppress(ChannelError):
        _storable(scene.parse(scene.fake.request(halved)), "half a character")


def _storable(parsed: Parsed, kind: str) -> None:
    try:
        msgspec.json.encode(parsed)
    except UnicodeEncodeError as error:
        raise Broken(f"a text with {kind} was read into something that no database keeps") from error


def _survives(scene: Scene, request: Request) -> None:
    try:
        scene.parse(request)
    except ChannelError:
        return
    except Broken:
        return  # it asks for a key of an address that is not the provider's: nobody gets it
    except Exception as error:
        digest = hashlib.sha256(request.body).hexdigest()[:12]
        text = f"raised {type(error).__name__} for {request.method} with {len(request.body)} bytes (sha256 {digest})"
        raise Broken(f"{text}: {request.body[:60]!r}") from error


def _refuses(scene: Scene, request: Request, account: Account | None = None) -> bool:
    try:
        scene.parse(request, account)
    except _REFUSED:
        return True
    except Malformed:
        # Read before it was checked, or checked and then not understood: not what "refused" means.
        return False
    return False


def _one(scene: Scene, deliveries: list[Delivery]) -> Inbound:
    found = scene.read(deliveries).messages
    if len(found) != 1:
        raise Broken(f"one message was written, {len(found)} were read")
    return found[0]


def _plain_headers(delivery: Delivery) -> dict[str, str]:
    return {
        name: value for name, value in delivery.headers.items() if name.lower() in ("content-type", "host")
    }


def _retouched(body: bytes) -> bytes:
    """The same message with another word in it (or, where it is encoded, another last letter or digit)."""
    if MARK.encode() in body:
        return body.replace(MARK.encode(), MARK[::-1].encode())
    at = max((number for number, letter in enumerate(body) if chr(letter).isalnum()), default=-1)
    return (
        body[:at] + (b"b" if body[at : at + 1] == b"a" else b"a") + body[at + 1 :] if at >= 0 else body + b" "
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."


class _Watch:
    """What one thread does to the outside world. (An audit hook cannot be taken out again: it falls silent.)"""

    outside = frozenset(
        {"open", "socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system"}
    )

    def __init__(self) -> None:
        self.thread = 0
        self.seen: list[str] = []
        self.hooked = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in self.outside and threading.get_ident() == self.thread:
            self.seen.append(event)

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[str]]:
        if not self.hooked:
            sys.addaudithook(self)
            self.hooked = True
        self.seen, self.thread = [], threading.get_ident()
        try:
            yield self.seen
        finally:
            self.thread = 0


_WATCH = _Watch()
