"""What a build takes over from earlier ones, and how it knows that it may."""
