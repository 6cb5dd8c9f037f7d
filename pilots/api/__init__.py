"""The REST API, under ``api/v1/`` of wherever the host puts the pages. Start reading at ``urls`` and ``base``."""
