//! SM-SR: the subscription-routing server of SGP.02. No sockets.

pub mod es5;
