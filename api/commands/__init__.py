"""The commands of `irisx`: one module for each group. They speak to IRISX through its public API alone."""
