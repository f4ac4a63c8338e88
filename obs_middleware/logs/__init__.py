"""Write: how a log record becomes bytes that a shipper takes."""
