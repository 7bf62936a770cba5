"""The data sets that the paper evaluates on, read exactly as they are downloaded. One file a data set."""
