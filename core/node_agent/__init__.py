"""`irisx node`: the process beside a switch that brings finished recordings home and prompts to the switch."""
