"""The whole server with other people's clients, and beside Apache's own server."""
