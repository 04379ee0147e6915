"""The embedded default: all of Tunebook in one process tree under one data folder."""
