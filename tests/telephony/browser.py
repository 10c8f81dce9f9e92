"""What a browser offers, without a browser."""

from bench.desk import offer

__all__ = ["offer"]
