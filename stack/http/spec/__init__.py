"""What the server says of itself: the OpenAPI document, made from the wire types and one table per noun."""
