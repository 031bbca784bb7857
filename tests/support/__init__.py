"""What several test files share: a raw client, server processes, the lock-step comparison."""
