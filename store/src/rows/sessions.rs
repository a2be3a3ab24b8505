//! Rows of the operator's sessions.

/// Sessions that stay; older ones end when another one is made.
pub(crate) const SESSIONS: i64 = 100;
