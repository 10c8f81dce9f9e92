"""Everything that speaks to FreeSWITCH, and nothing that knows a customer. See README.md."""
