//! Finds events by time. They are accepted in the order of their keys, so
//! halving the keys does what an index over the times would do.
