"""Who may do what: people, keys, sessions and roles.

``roles`` (what may be allowed at all), ``passwords`` (argon2id in worker threads), ``tokens`` (access, refresh and
realtime tokens), ``keys`` (API keys), ``throttle`` (against guessing), ``actors`` (from a credential to the one who
acts, remembered for seconds), ``service`` (logging in, refreshing, revoking) and ``people`` (changing users, roles,
keys and tenants under the rule that nobody hands out more than they hold).

asyncio, like everything above `core.storage` that only the API uses.
"""

from core.access.people import first_operator

__all__ = ["first_operator"]
