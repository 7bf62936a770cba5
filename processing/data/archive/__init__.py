"""From an archive of radiographs to training shards: `pedclip data build`."""
