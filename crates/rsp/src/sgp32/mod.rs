//! SGP.32, remote SIM provisioning of IoT devices: version 1.2, with later fields that real peers
//! send.
//!
//! - An eIM signs packages for the eUICC ([`package`]), and the eUICC signs the results ([`result`]).
//! - The IPA of the device carries both ([`esipa`]) and uses the functions of the eUICC ([`es10b`]).
//! - Types that SGP.22 defines are those of [`crate::sgp22`].
//!
//! The elements of v1.3 are optional, and are absent unless a party sets them. Elements that v1.0
//! encoded differently are decoded as findings; [`Version`] selects what is sent.

pub mod compact;
pub mod eim_configuration;
pub mod es10b;
pub mod es6;
pub mod esipa;
pub mod ipa_data;
pub mod notification;
pub mod package;
pub mod result;
mod settings;
pub mod signature;
pub mod state_change;
pub mod vendor;
mod version;

pub use crate::sgp22::{IotSpecificInfo, IotSpecificProfileInfo};
pub use compact::{AuthenticateServerResponse, CancelSessionResponse, PrepareDownloadResponse};
pub use eim_configuration::{EimConfigurationData, KeyOrCertificate, SubjectPublicKeyInfo};
pub use notification::PendingNotification;
pub use package::{Eco, EuiccPackage, EuiccPackageRequest, EuiccPackageSigned, Psmo};
pub use result::{EuiccPackageResult, EuiccResultData};
pub use state_change::StateChangeCause;
pub use version::Version;
