"""`irisx up`: everything on one machine, started in order, kept alive, stopped in reverse."""
