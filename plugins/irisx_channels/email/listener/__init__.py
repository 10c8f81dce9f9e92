"""Mail in over a server of our own."""
