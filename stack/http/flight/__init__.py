"""Arrow Flight SQL: the documented views for any tool that has an ADBC, JDBC or ODBC driver for it.

gRPC serves it, as it does OTLP, and not pyarrow's Flight server: that one cannot end a call whose client stopped reading,
and does not shut down before such clients are gone. Results are passed on as the worker wrote them.
"""
