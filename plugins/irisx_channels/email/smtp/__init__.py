"""Mail out by SMTP submission, through any server."""
