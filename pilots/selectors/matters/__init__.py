"""What may wait for somebody, one file per kind of trouble; ``selectors/attention`` lists the kinds."""
