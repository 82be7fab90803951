//! What all contexts of OpenSSL in this crate have in common.

use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVersion};

/// Returns a context for this version and these suites only, without tickets, stored sessions,
/// compression and renegotiation. A server chooses the suite in its own order of preference.
pub(crate) fn one_version(
    method: SslMethod,
    version: SslVersion,
    suites: &str,
) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(method)?;
    builder.set_min_proto_version(Some(version))?;
    builder.set_max_proto_version(Some(version))?;
    builder.set_cipher_list(suites)?;
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    Ok(builder)
}
