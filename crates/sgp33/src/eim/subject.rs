//! The eIM under test and the links to it.

use std::sync::Arc;

use certs::Pki;
use coap::DialDatagrams;
use rsp::ids::{Eid, SmdpAddress, Version};
use rsp::sgp32::EimConfigurationData;
use sgp23::{CodeRotation, Inbox};
use world::{BoxFuture, Fault, Link, World};

use super::operator::Operator;

/// Lets the eIM send the next package of a device to an IPA at this link, and ends when the eIM has
/// processed the response. It is proprietary, because SGP.32 does not define when an eIM does it.
pub type Transfer = Arc<dyn Fn(Eid, Link) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;

/// An SM-DS at which the tester registers events, and the eIM retrieves them.
pub struct SmDsOfEvents {
    /// The address of the SM-DS for the eIM.
    pub address: SmdpAddress,
    /// The link to ES12, with the client certificate of an SM-DP+.
    pub es12: Link,
    /// The OID of this SM-DP+.
    pub requester: String,
}

/// An eIM under test. Cases that need a field that is `None` or empty are not run.
pub struct EimUnderTest {
    /// The configuration with which eUICCs are associated with the eIM.
    pub configuration: EimConfigurationData,
    /// The link for an IPA: TLS without a client certificate that trusts what the configuration
    /// says.
    pub esipa: Link,
    /// The same link, with TLS 1.2 only.
    pub esipa_tls12: Option<Link>,
    /// The associations over CoAP: DTLS that trusts what the configuration says.
    pub coap: Option<Arc<dyn DialDatagrams>>,
    /// The transfer of packages to an IPA that listens.
    pub transfer: Option<Transfer>,
    /// The operator of the eIM.
    pub operator: Option<Arc<dyn Operator>>,
    /// Activation codes of orders at an SM-DP+ that the eIM can reach, used in turn. An order must
    /// be for any eUICC, and without a confirmation code.
    pub codes: CodeRotation,
    /// The SM-DS of the events.
    pub sm_ds: Option<SmDsOfEvents>,
    /// The SM-DP+ of the tester, to which the eIM forwards notifications.
    pub inbox: Option<Arc<dyn Inbox>>,
    /// The certificates and keys of the tester, issued by CIs that the eIM and the SM-DP+ trust.
    pub pki: Pki,
    /// The SGP.22 version in X-Admin-Protocol.
    pub version: Version,
    /// The clock and randomness of the tester.
    pub world: World,
}
