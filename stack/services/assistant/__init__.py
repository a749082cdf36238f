"""Tools with which assistants read what was recorded, over MCP."""
