"""The commands of ``obs-middleware``: one module each, named like the command."""
