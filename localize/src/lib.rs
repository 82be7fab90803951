//! The rules that decide which device moves where, and why. No I/O.
