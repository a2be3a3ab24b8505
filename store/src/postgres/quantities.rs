//! The quantity that was last published of each ticket, so that a receiver can
//! be told by how much it changed.
