"""From a folder of images with metadata to the model's batches."""
