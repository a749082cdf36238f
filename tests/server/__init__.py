"""Tests of the whole server over real HTTP, in a process of its own."""
