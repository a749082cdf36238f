"""Tests of the page in a browser, on a real server."""
