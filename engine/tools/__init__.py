"""The programs a build runs, and the one environment they run in."""
