"""The only loop, its schedules, its exact resume and what it writes."""
