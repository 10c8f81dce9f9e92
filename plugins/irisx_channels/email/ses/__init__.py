"""Mail through Amazon SES; what happens to it, and mail that comes in, through Amazon SNS."""
