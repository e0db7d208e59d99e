"""Which frames of a video make an item, reading them in workers, and what happens to bad media."""
