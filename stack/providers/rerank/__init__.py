"""Rerankers: the embedded `bm25`, and remote ones."""
