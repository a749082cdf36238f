"""Agents and their sessions."""
