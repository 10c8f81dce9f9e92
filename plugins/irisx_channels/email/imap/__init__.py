"""Mail in out of a mailbox, by IMAP."""
