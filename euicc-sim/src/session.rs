//! The RSP session, by what it waits for: SGP.22 sections 3.1.2 and 3.1.3.

use certs::{ServerCertificate, Verified};
use rsp::ids::{SubjectKeyIdentifier, TransactionId};

use super::install::Installation;
use super::state::OneTimeKey;

/// The one RSP session that a card has at a time. A reset ends it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Session {
    /// ES10b.GetEUICCChallenge.
    #[default]
    Idle,
    /// ES10b.AuthenticateServer, over this challenge.
    ExpectAuthenticateServer { challenge: [u8; 16] },
    /// ES10b.PrepareDownload, or the end.
    ExpectPrepareDownload(Box<AuthenticatedServer>),
    /// The first segment of a Bound Profile Package.
    ExpectBoundProfilePackage(Box<PreparedDownload>),
    /// The segments that follow.
    Loading(Box<Installation>),
}

/// A server that has proved itself.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatedServer {
    pub(crate) transaction_id: TransactionId,
    pub(crate) certificate: Verified<ServerCertificate>,
    /// As the server signed it: where the installation result goes.
    pub(crate) address: String,
    /// Under which CI the card signs.
    pub(crate) ci: SubjectKeyIdentifier,
    pub(crate) euicc_signature1: Vec<u8>,
}

/// A download for which everything has been agreed.
#[derive(Clone, Debug)]
pub(crate) struct PreparedDownload {
    pub(crate) server: AuthenticatedServer,
    /// CERT.DPpb.
    pub(crate) profile_binding: Verified<ServerCertificate>,
    pub(crate) one_time_key: OneTimeKey,
}

impl Session {
    /// The server of the session, once there is one.
    pub(crate) fn server(&self) -> Option<&AuthenticatedServer> {
        match self {
            Self::Idle | Self::ExpectAuthenticateServer { .. } => None,
            Self::ExpectPrepareDownload(server) => Some(server),
            Self::ExpectBoundProfilePackage(prepared) => Some(&prepared.server),
            Self::Loading(installation) => Some(&installation.prepared.server),
        }
    }
}
