"""Finds passages in documents: by their words (BM25), and by embeddings."""
