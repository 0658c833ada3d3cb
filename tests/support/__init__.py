"""What several test areas build on: small systems, real tools."""
