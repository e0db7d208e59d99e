"""Tables, plots and film strips in one self-contained page."""
