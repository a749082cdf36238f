"""Tests with the clients that people already have, each in an interpreter that it runs on."""
