"""The wizard: shows what the engine computes, sends edits back."""
