"""The commands: one module each, called as it is typed."""
