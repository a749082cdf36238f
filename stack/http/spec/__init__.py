"""The OpenAPI document, generated from the wire types and one table per noun."""
