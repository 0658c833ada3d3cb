"""squashfs: read-only and compressed, made by tar2sqfs from a stream and read by our own reader."""
