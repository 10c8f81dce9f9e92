"""Mail through Mailgun."""
