//! The M2M eUICC from outside: scripts in, answers out.
