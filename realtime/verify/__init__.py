"""Whether a recording, a picture or a stream carries our marks: `liveswap verify`."""
