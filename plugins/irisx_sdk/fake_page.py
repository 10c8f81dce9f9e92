"""What people and tests use of a fake: its page at ``/`` and its controls under ``/_fake/``.

``GET /_fake/messages``  what was sent, the exchange, how many requests were not authorised
``POST /_fake/say``      a customer writes: JSON (``sender``, ``text``, more for `Fake.say`) or the page's form
``POST /_fake/faults``   `Faults` as JSON
"""

import html
import time
from typing import Any

import msgspec

from irisx_sdk.fake import Fake
from irisx_sdk.fake_calls import Answer, Call, Delivered, Faults

_HTML = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'",
}


async def control(fake: Fake, call: Call) -> Answer | None:
    """The answer to a request for the page or a control; None for everything else."""
    match call.method, call.path:
        case "GET", "/" if not any(path == "/" and method == "GET" for method, path, _ in fake.routes):
            return Answer(200, _page(fake), _HTML)
        case "GET", "/_fake/page":
            return Answer(200, _page(fake), _HTML)
        case "GET", "/_fake/page.js":
            return Answer(200, SCRIPT, {"content-type": "text/javascript; charset=utf-8"})
        case "GET", "/_fake/messages":
            return Answer(200, _state(fake))
        case "POST", "/_fake/say":
            return await _say(fake, call)
        case "POST", "/_fake/faults":
            try:
                fake.faults = msgspec.json.decode(call.body, type=Faults)
            except msgspec.MsgspecError as wrong:
                return Answer(400, {"error": str(wrong)})
            return Answer(200, fake.faults)
    return None


async def _say(fake: Fake, call: Call) -> Answer:
    try:
        # (by the body: curl calls everything a form)
        as_form = not call.body.lstrip().startswith(b"{")
        given: dict[str, Any] = call.form() if as_form else call.json()
        sender, text = str(given.pop("sender")), str(given.pop("text"))
        ended = await fake.write(sender, text, **given)
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        return Answer(400, {"error": f"a customer needs sender and text ({type(wrong).__name__}: {wrong})"})
    if as_form:
        return Answer(303, b"", {"location": "/_fake/page"})
    return Answer(200, {"delivered": [one.status for one in ended]})


def _state(fake: Fake) -> dict[str, Any]:
    return {
        "channel": fake.channel.name,
        "sent": [
            {
                "id": one.id, "to": one.to, "text": one.text, "media": one.media, "at": one.at,
                "sender": one.sender, "reference": one.reference, "state": fake.states.get(one.id, ""),
            }
            for one in fake.sent
        ],
        "exchange": [_shown(fake, number) for number in range(len(fake.exchange))],
        "unauthorized": fake.unauthorized,
        "webhooks": [_outcome(one) for one in fake.delivered],
    }  # fmt: skip


def _shown(fake: Fake, number: int) -> dict[str, Any]:
    line = fake.exchange[number]
    at = time.strftime("%H:%M:%S", time.localtime(line.at))
    return {
        "at": at, "person": line.person, "text": line.text, "ours": line.ours,
        "state": fake.states.get(line.id, "") if line.id else "",
    }  # fmt: skip


def _outcome(one: Delivered) -> dict[str, Any]:
    return {"status": one.status, "bytes": len(one.delivery.body)}


def _page(fake: Fake) -> str:
    lines = "".join(_line(_shown(fake, number)) for number in range(len(fake.exchange)))
    customers = [line.person for line in fake.exchange]
    sender = html.escape(customers[-1] if customers else fake.someone(), quote=True)
    title = html.escape(fake.channel.title)
    return PAGE.replace("{title}", title).replace("{sender}", sender).replace("{lines}", lines)


def _line(shown: dict[str, Any]) -> str:
    who = ("to " if shown["ours"] else "from ") + shown["person"]
    state = f" · {shown['state']}" if shown["state"] else ""
    head = html.escape(f"{shown['at']} {who}{state}")
    return f'<li class="{"ours" if shown["ours"] else "theirs"}"><small>{head}</small>{html.escape(shown["text"])}</li>'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}, the customer's side</title><style>
:root { color-scheme: light dark; --line: #8887; --ours: #2563eb22; --theirs: #8882 }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.25rem; margin: 0 0 .25rem } p { margin: 0 0 1rem }
ol { list-style: none; margin: 0 0 1rem; padding: 0; display: grid; gap: .5rem }
li { border-radius: .75rem; padding: .5rem .75rem; max-width: 85%; white-space: pre-wrap; overflow-wrap: anywhere }
li small { display: block; opacity: .8 }
.theirs { background: var(--theirs); justify-self: end } .ours { background: var(--ours); justify-self: start }
form { display: grid; gap: .5rem; border-top: 1px solid var(--line); padding-top: 1rem }
label { font-weight: 600 } input, textarea, button { font: inherit; padding: .5rem .75rem; border-radius: .5rem;
border: 1px solid #888; box-sizing: border-box; width: 100% } button { min-height: 2.75rem; font-weight: 600; cursor: pointer }
:focus-visible { outline: 3px solid #2563eb; outline-offset: 2px }
</style></head><body><main>
<h1>{title}, the customer's side</h1>
<p>This provider is a fake on this machine. What is written here reaches the platform; what the platform sends appears here.</p>
<ol id="exchange" role="log" aria-live="polite" aria-label="Exchange">{lines}</ol>
<form method="post" action="/_fake/say">
<label for="sender">Customer</label><input id="sender" name="sender" required autocomplete="off" value="{sender}">
<label for="text">Message</label><textarea id="text" name="text" rows="3" required></textarea>
<button>Send as the customer</button><p id="said" role="status"></p>
</form></main><script src="/_fake/page.js"></script></body></html>
"""

SCRIPT = """'use strict';
// Keeps the exchange fresh and sends without leaving the page; without it the form does the same by itself.
const list = document.getElementById('exchange'), said = document.getElementById('said');
const form = document.querySelector('form');
let shown = list.children.length ? null : '[]';
const line = (one) => {
  const item = document.createElement('li'), head = document.createElement('small');
  item.className = one.ours ? 'ours' : 'theirs';
  head.textContent = `${one.at} ${one.ours ? 'to' : 'from'} ${one.person}${one.state ? ' · ' + one.state : ''}`;
  item.append(head, one.text);
  return item;
};
const refresh = async () => {
  try {
    const { exchange } = await (await fetch('/_fake/messages')).json();
    const now = JSON.stringify(exchange);
    if (now !== shown) { list.replaceChildren(...exchange.map(line)); shown = now; }
  } catch { said.textContent = 'The fake does not answer.'; }
};
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ sender: form.sender.value, text: form.text.value });
  try {
    const answer = await fetch('/_fake/say', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error);
    const bad = result.delivered.filter((status) => status < 200 || status > 299);
    said.textContent = bad.length ? `The platform answered ${bad.join(', ')}.` : 'Sent.';
    form.text.value = '';
  } catch (error) { said.textContent = `Not sent: ${error.message}`; }
  refresh();
});
setInterval(refresh, 1000);
"""
