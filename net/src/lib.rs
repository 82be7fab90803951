//! The honest outside: sockets, TLS, OS clock and dice, SQLite, files.
