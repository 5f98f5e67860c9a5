//! The task that owns the rooms.
