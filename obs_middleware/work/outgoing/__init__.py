"""Outgoing HTTP calls: send the request's id and trace with them, count and time them."""

from obs_middleware.work.outgoing.install import prepare

__all__ = ["prepare"]
