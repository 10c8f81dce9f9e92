"""Prepares a checkout with nothing but ``python3`` and, where something is missing, Debian's own ``apt-get``.

Standard library only: this runs before anything is installed.
"""
