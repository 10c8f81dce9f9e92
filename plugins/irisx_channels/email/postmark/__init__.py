"""Mail through Postmark."""
