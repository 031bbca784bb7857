"""zkserver.client against real servers: zkserver's and Apache's."""
