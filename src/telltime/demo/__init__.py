"""The two-minute walk: real and generated footage in, a trained model and a report out."""
