"""Files to tensors and back: videos, frame folders, images; typed errors and limits."""
