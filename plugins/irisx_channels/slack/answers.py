"""What Slack's answers mean: nearly always HTTP 200, with ``ok`` and a word for what went wrong.

The table decides whether the platform tries again. Words that are not in it are refusals: Slack says ``ok: false``
only when it did not do what was asked, except for the two in `MAYBE`, of which its pages say that a part may have
happened. Sources: docs.slack.dev, "Web API" and the error lists of the methods used here.
"""

from collections.abc import Mapping

from irisx_channels.lenient import Json, document, part, words
from irisx_sdk.errors import (
    ChannelError,
    Malformed,
    Misconfigured,
    NotSent,
    OutcomeUnknown,
    Refused,
    Throttled,
)

REFUSED: dict[str, str] = {
    "channel_not_found": "Slack knows no such channel, or the app may not see it",
    "not_in_channel": "the app is not in this channel: invite it there",
    "is_archived": "the channel is archived",
    "msg_too_long": "the text is too long for Slack",
    "msg_blocks_too_long": "the text is too long for Slack",
    "no_text": "there is nothing to send",
    "too_many_attachments": "too many attachments",
    "invalid_blocks": "Slack does not accept the buttons or the list",
    "invalid_blocks_format": "Slack does not accept the buttons or the list",
    "restricted_action": "the workspace's rules forbid this",
    "restricted_action_read_only_channel": "the channel is read-only",
    "restricted_action_thread_only_channel": "the channel only takes answers in threads",
    "user_not_found": "Slack knows no such person",
    "users_not_found": "Slack knows no such person",
    "user_disabled": "this person's account is switched off",
    "user_not_visible": "the app may not see this person",
    "cannot_dm_bot": "bots cannot be written to",
    "message_not_found": "the message is no longer there",
    "thread_not_found": "the thread is no longer there",
    "cant_update_message": "only messages of the app itself can be changed",
    "cant_delete_message": "only messages of the app itself can be taken back",
    "edit_window_closed": "the message is too old to be changed",
    "too_many_emoji": "the message has as many different reactions as Slack allows",
    "too_many_reactions": "the message has as many reactions as Slack allows",
    "invalid_name": "Slack knows no such sign",
    "invalid_arguments": "Slack does not accept the request",
    "file_not_found": "Slack no longer has the file",
}
"""Pointless to try again."""

MISCONFIGURED: dict[str, str] = {
    "not_authed": "the bot token is missing",
    "invalid_auth": "the bot token is not valid",
    "token_revoked": "the bot token was revoked: install the app again",
    "token_expired": "the bot token has expired",
    "account_inactive": "the app was removed from the workspace, or its user switched off",
    "missing_scope": "the app lacks a permission",
    "not_allowed_token_type": "this is a token of the wrong kind (the bot's starts with xoxb-, the app's with xapp-)",
    "no_permission": "the app lacks a permission",
    "access_denied": "the workspace denies access",
    "ekm_access_denied": "the workspace's administrators suspended posting",
    "org_login_required": "the workspace is being moved to an organisation",
    "team_access_not_granted": "the app is not installed in this workspace",
    "link_disabled": "Socket Mode is switched off for the app",
}
"""Nothing works until a person changes the account."""

NOT_SENT = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "accesslimited"})
"""Not done, and a later try may work."""

THROTTLED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})

MAYBE = frozenset({"fatal_error", "internal_error"})
"""Slack: "it's possible some aspect of the operation succeeded"."""

DONE_ALREADY = frozenset({"already_reacted", "no_reaction"})
"""Refusals that mean that the wish is fulfilled: what an earlier try did."""


def failure(code: str, *, needed: str = "") -> ChannelError:
    """The error for Slack's word ``code``; ``needed`` is the permission that it names."""
    if code in MISCONFIGURED:
        more = f": {needed}" if needed else ""
        return Misconfigured(MISCONFIGURED[code] + more, code=code)
    if code in THROTTLED:
        return Throttled("too fast for Slack", code=code)
    if code in NOT_SENT:
        return NotSent("Slack is not available", code=code)
    if code in MAYBE:
        return OutcomeUnknown("Slack had an error of its own", code=code)
    return Refused(REFUSED.get(code, "Slack refused it"), code=code)


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, retry_after: float | None
) -> tuple[Json, str]:
    """What a method answered, and the word of a refusal that means "done already" (or empty).

    Raises the error that the answer means.
    """
    if status == 429:
        raise Throttled("too fast for Slack", code="ratelimited", retry_after_s=retry_after)
    if status in (401, 403):
        raise Misconfigured("Slack does not accept the token", code=str(status))
    if status == 503:
        raise NotSent("Slack is not available", code="503")
    try:
        answer = document(body)
    except Malformed:
        raise OutcomeUnknown(
            f"Slack answered {status} and nothing that can be read", code=str(status)
        ) from None
    if answer.get("ok") is True:
        return answer, ""
    code = words(answer, "error")
    if code in DONE_ALREADY:
        return answer, code
    if not code:
        raise OutcomeUnknown(f"Slack answered {status} without saying what became of it", code=str(status))
    needed = words(answer, "needed") or words(part(answer, "response_metadata"), "needed")
    raise failure(code, needed=needed)
