"""Lilliput: machine learning on microcontrollers, from data to proven C99."""
