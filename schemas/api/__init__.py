"""Wire types of the HTTP API, one module per noun, named as the Llama Stack specification names them.

Requests refuse unknown fields; an optional field may be `null` and is left out of answers when absent.
"""
