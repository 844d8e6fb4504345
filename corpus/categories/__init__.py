"""Categories for lines that name none: rules and a classifier."""
