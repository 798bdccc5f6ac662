"""The boards: one for who is on call for the shop, one for who runs the pipeline."""
