"""The published methods: each a module with four verbs."""
