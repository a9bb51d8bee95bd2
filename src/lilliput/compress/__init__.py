"""Compression: making a trained model smaller before it is compiled."""
