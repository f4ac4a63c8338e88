"""Answers from a search engine, OpenSearch or Elasticsearch."""
