//! The RSP session, with states named by the command that the card expects: SGP.22 sections 3.1.2
//! and 3.1.3.

use certs::{ServerCertificate, Verified};
use crypto::bsp::BppReceiver;
use rsp::ids::{Aid, Iccid, Oid, SubjectKeyIdentifier, TransactionId};
use rsp::sgp22::es8plus::StoreMetadataRequest;

use super::OneTimeKey;
use crate::install::package::PackageLoader;
use crate::install::stream::Stream;

/// The RSP session. A card has at most one at a time, and a reset ends it.
#[derive(Clone, Debug, Default)]
pub(crate) enum Session {
    /// Expects ES10b.GetEUICCChallenge.
    #[default]
    Idle,
    /// Expects ES10b.AuthenticateServer with a signature over this challenge.
    ExpectAuthenticateServer { challenge: [u8; 16] },
    /// Expects ES10b.PrepareDownload or ES10b.CancelSession.
    ExpectPrepareDownload(Box<AuthenticatedServer>),
    /// Expects the first segment of a Bound Profile Package.
    ExpectBoundProfilePackage(Box<PreparedDownload>),
    /// Expects the further segments.
    Loading(Box<Installation>),
    /// Expects ES10b.ImmediateEnable: the profile of this session was installed on an IoT card.
    ExpectImmediateEnable(Box<Installed>),
}

/// An authenticated server.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatedServer {
    pub(crate) transaction_id: TransactionId,
    pub(crate) certificate: Verified<ServerCertificate>,
    /// The server address as signed by the server. The installation result is sent to it.
    pub(crate) address: String,
    /// The CI under which the card signs.
    pub(crate) ci: SubjectKeyIdentifier,
    pub(crate) euicc_signature1: Vec<u8>,
}

/// A download after a successful ES10b.PrepareDownload.
#[derive(Clone, Debug)]
pub(crate) struct PreparedDownload {
    pub(crate) server: AuthenticatedServer,
    /// CERT.DPpb.
    pub(crate) profile_binding: Verified<ServerCertificate>,
    pub(crate) one_time_key: OneTimeKey,
}

/// A profile that was installed in this session.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) isd_p: Aid,
    pub(crate) smdp_oid: Oid,
    /// The address of the SM-DP+ as it signed it.
    pub(crate) smdp_address: String,
}

impl Session {
    /// The authenticated server of the session, if there is one.
    pub(crate) fn server(&self) -> Option<&AuthenticatedServer> {
        match self {
            Self::Idle | Self::ExpectAuthenticateServer { .. } | Self::ExpectImmediateEnable(_) => None,
            Self::ExpectPrepareDownload(server) => Some(server),
            Self::ExpectBoundProfilePackage(prepared) => Some(&prepared.server),
            Self::Loading(installation) => Some(&installation.prepared.server),
        }
    }
}

/// An installation in progress.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) prepared: PreparedDownload,
    pub(crate) stream: Stream,
    pub(crate) expects: Expects,
    /// The ICCID, once the metadata have been received.
    pub(crate) iccid: Option<Iccid>,
}

/// The next expected element. The data of a function are complete at the end of their sequence.
#[derive(Clone, Debug, Default)]
pub(crate) enum Expects {
    #[default]
    InitialiseSecureChannel,
    /// The data are in TLVs 87, which are encrypted.
    ConfigureIsdp { bsp: BppReceiver, data: Vec<u8> },
    /// The data are in TLVs 88, which have a MAC and are not encrypted.
    StoreMetadata { bsp: BppReceiver, dp_oid: Option<Oid>, data: Vec<u8> },
    /// The data are in TLVs 87 if the package has its own session keys. Otherwise the first TLV 86
    /// follows.
    ReplaceSessionKeys { bsp: BppReceiver, outline: Box<Outline>, data: Vec<u8> },
    /// The data are in TLVs 86 until the end of the package.
    LoadProfileElements { bsp: BppReceiver, outline: Box<Outline>, loading: Box<Loading> },
}

/// The properties of the profile known before its elements arrive.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub(crate) dp_oid: Option<Oid>,
    pub(crate) metadata: StoreMetadataRequest,
}

/// A profile package that is being received.
#[derive(Clone, Debug)]
pub(crate) struct Loading(pub(crate) PackageLoader);
