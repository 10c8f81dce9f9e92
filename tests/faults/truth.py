"""What really happened: an ear of its own on the switch, with none of our code between, and the store's side of it."""

from collections import Counter

from bench.ear import Ear
from bench.stack import rows


class Ends(Ear):
    """Hears every CHANNEL_HANGUP_COMPLETE of a switch."""

    def __init__(self, port: int) -> None:
        self.ended: dict[str, dict[str, str]] = {}
        """Leg uuid -> headers of its end, as the switch told them."""
        super().__init__(port, "CHANNEL_HANGUP_COMPLETE", self._note)

    def _note(self, headers: dict[str, str]) -> None:
        self.ended[headers["Unique-ID"]] = headers


class Books:
    """What the store says in the end."""

    def __init__(self, url: str) -> None:
        self.legs, self.calls, events, live = rows(
            url,
            "select subject, billsec, hangup_cause, inferred from cdrs where kind = 'leg'",
            "select subject, inferred from cdrs where kind = 'call'",
            "select seq, type, resource from events where tenant_id = 'tnt_main' order by seq",
            "select id from calls where live",
        )
        self.events = [tuple(row) for row in events]
        self.live = [row["id"] for row in live]

    def check(self, ear: Ends, *, may_be_inferred: bool = False) -> None:
        """Nothing lost, nothing doubled, nothing invented. With ``may_be_inferred`` an end that nobody could hear may be
        concluded, but what the switch said and we heard must stand as it said it."""
        written = Counter(row["subject"] for row in self.legs)
        assert not {uuid: times for uuid, times in written.items() if times > 1}, "a leg has two records"
        lost = ear.ended.keys() - written.keys()
        assert not lost, f"{len(lost)} of {len(ear.ended)} legs have no record"
        for row in self.legs:
            truth = ear.ended.get(row["subject"])
            if row["inferred"]:
                assert may_be_inferred, "an end was concluded that the switch had told"
            elif truth is not None:
                assert row["billsec"] == int(truth["variable_billsec"])
                assert row["hangup_cause"] == truth["Hangup-Cause"]
        seqs = [seq for seq, _, _ in self.events]
        assert seqs == list(range(1, len(seqs) + 1)), "the log has a hole"
        ends = Counter(resource for _, kind, resource in self.events if kind == "call.ended")
        assert not {call for call, times in ends.items() if times > 1}, "a call ended twice"
        begins = Counter(resource for _, kind, resource in self.events if kind == "call.created")
        assert not {call for call, times in begins.items() if times > 1}, "a call began twice"
        assert set(ends) == set(begins), "a call began and did not end"
        assert not self.live
