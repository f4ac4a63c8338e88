"""What people see on a screen: rows, numbers, colours and inert text. Both `logs` and `read` import it."""
