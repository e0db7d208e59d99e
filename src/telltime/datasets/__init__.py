"""Folder layouts to tables of records; one data set, one file."""
