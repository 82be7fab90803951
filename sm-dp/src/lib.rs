//! SM-DP+ (SGP.22). No sockets.
