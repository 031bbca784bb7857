"""What operators look at: metrics, audit lines, HTTP."""
