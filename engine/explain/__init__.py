"""What each problem's code means, why it is refused and how to mend it, as data."""
