"""The steps of the design screen, one pane each."""
