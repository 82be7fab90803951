//! Suppliers of profiles, and ES2+ (SGP.22 section 5.3) as the platform of a fleet owner calls it.

use std::fmt;

use certs::ServerName;
use rsp::{
    activation_code::{ActivationCode, InvalidActivationCode},
    ids::{Eid, Iccid, SmdpAddress, Version},
    sgp22::{
        Function,
        es2plus::{
            CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderRequest, DownloadOrder,
            DownloadOrderRequest,
        },
        json::{RequestHeader, StatusCodeData},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use world::{CallError, Fault, Link};

use localize::Orderable;

/// The version of SGP.22 that the platform names in its requests.
const PROTOCOL: Version = Version([2, 5, 0]);

/// The supplier of an operator's profiles.
#[derive(Clone)]
pub enum Supplier {
    /// The operator's SM-DP+. The platform orders profiles there, and the devices download them.
    SmDpPlus(Es2Plus),
    /// The operator itself, with an SM-DP of SGP.02. The platform calls no server; its instruction
    /// tells the device's M2M agent which profile to order.
    Operator,
}

impl Supplier {
    /// The SM-DP+, if the supplier is one.
    pub(crate) fn sm_dp_plus(&self) -> Option<&Es2Plus> {
        match self {
            Self::SmDpPlus(sm_dp_plus) => Some(sm_dp_plus),
            Self::Operator => None,
        }
    }
}

/// The SM-DP+ of an operator.
#[derive(Clone)]
pub struct Es2Plus {
    /// Connection to the SM-DP+.
    pub link: Link,
    /// Address for downloads, used if the SM-DP+ does not return one.
    pub address: SmdpAddress,
    /// The name in its CERT.DP.TLS. The SM-DP+ uses the same certificate as a client, and the
    /// platform identifies the sender of a progress report by it.
    pub name: ServerName,
    /// The OID by which the SM-DP+ identifies the platform.
    pub requester: String,
    /// True if the SM-DP+ reports download progress (ES2+.HandleDownloadProgressInfo).
    pub reports_progress: bool,
}

/// Reason for a failed ES2+ call.
#[derive(Debug)]
pub(crate) enum Es2PlusError {
    /// The SM-DP+ refused the call. A repetition would be refused too.
    Refused(StatusCodeData),
    /// The SM-DP+ did not answer, or its answer is unusable. It may have executed the call.
    Unreachable(Fault),
}

impl fmt::Display for Es2PlusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the SM-DP+ refused: {status}"),
            Self::Unreachable(fault) => fmt::Display::fmt(fault, f),
        }
    }
}

impl Es2Plus {
    /// ES2+.DownloadOrder: reserves a profile for the eUICC.
    pub(crate) async fn download_order(
        &self,
        call: &str,
        eid: Eid,
        what: &Orderable,
    ) -> Result<Iccid, Es2PlusError> {
        let (iccid, profile_type) = match what {
            Orderable::Iccid(iccid) => (Some(*iccid), None),
            Orderable::ProfileType(name) => (None, Some(name.0.clone())),
        };
        let request = DownloadOrderRequest { header: self.header(call), eid: Some(eid), iccid, profile_type };
        Ok(self.call::<DownloadOrder>(&request).await?.iccid)
    }

    /// ES2+.ConfirmOrder with the release flag. Returns the activation code.
    pub(crate) async fn confirm_order(
        &self,
        call: &str,
        eid: Eid,
        iccid: Iccid,
    ) -> Result<ActivationCode, Es2PlusError> {
        let request =
            ConfirmOrderRequest { eid: Some(eid), ..ConfirmOrderRequest::new(self.header(call), iccid) };
        let reply = self.call::<ConfirmOrder>(&request).await?;
        let smdp_address = reply.smdp_address.and_then(|address| address.parse().ok());
        let code = ActivationCode {
            smdp_address: smdp_address.unwrap_or_else(|| self.address.clone()),
            matching_id: reply.matching_id,
            smdp_oid: None,
            confirmation_code_required: false,
            findings: Vec::new(),
        };
        // Devices could not read an invalid activation code, and the platform could not read it
        // back from its records.
        code.to_string().parse().map_err(|why: InvalidActivationCode| {
            let next = "configure the SM-DP+ to use MatchingIDs of A-Z, 0-9 and - (SGP.22 section 4.1)";
            Es2PlusError::Unreachable(Fault::caused_by(
                why,
                "cannot use the answer to ES2+ confirmOrder",
                next,
            ))
        })
    }

    /// ES2+.CancelOrder: makes the profile available for another order.
    pub(crate) async fn cancel_order(&self, call: &str, eid: Eid, iccid: Iccid) -> Result<(), Es2PlusError> {
        let request =
            CancelOrderRequest { eid: Some(eid), ..CancelOrderRequest::new(self.header(call), iccid) };
        self.call::<CancelOrder>(&request).await.map(drop)
    }

    /// An SM-DP+ treats a call with a known identifier as a repetition and returns the same answer
    /// (section 5.2.1).
    fn header(&self, call: &str) -> RequestHeader {
        RequestHeader::new(self.requester.clone(), call)
    }

    async fn call<F>(&self, request: &F::Request) -> Result<F::Reply, Es2PlusError>
    where
        F: Function<Request: Serialize, Reply: DeserializeOwned>,
    {
        let call = world::call::<F>(&self.link, PROTOCOL, request).await;
        for finding in call.findings {
            tracing::info!(peer = "SM-DP+", function = F::NAME, %finding, "accepted a deviation");
        }
        call.result.map_err(|error| match error {
            CallError::Link(fault) => Es2PlusError::Unreachable(fault.into()),
            CallError::Refused(status) => Es2PlusError::Refused(status),
            CallError::Invalid(why) if why.is_server_failure() => Es2PlusError::Unreachable(Fault::caused_by(
                why,
                format!("ES2+ {} failed", F::NAME),
                "the platform retries; if it fails again, correct the problem at the SM-DP+, whose log has the details",
            )),
            CallError::Invalid(why) => Es2PlusError::Unreachable(Fault::caused_by(
                why,
                format!("cannot use the answer to ES2+ {}", F::NAME),
                "check that the address is that of an SM-DP+ that accepts the platform's certificate",
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use rsp::sgp22::{es2plus::ConfirmOrderReply, json};
    use world::{LinkFault, link_from};

    use super::*;

    #[tokio::test]
    async fn a_failure_of_the_server_and_an_answer_of_another_server_have_different_advice() {
        for (status, what, next) in [
            (500, "ES2+ downloadOrder failed", "the platform retries"),
            (404, "cannot use the answer to ES2+ downloadOrder", "check that the address"),
        ] {
            let link = link_from(tower::service_fn(move |_: Request<Bytes>| async move {
                let mut response = http::Response::new(Bytes::new());
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
                Ok::<_, LinkFault>(response)
            }));
            let (address, name) = ("dp.example".parse().unwrap(), "dp.example".parse().unwrap());
            let requester = "2.999.1".to_owned();
            let supplier = Es2Plus { link, address, name, requester, reports_progress: false };
            let eid = "89049032000000000000000000000163".parse().unwrap();
            let what_to_order = Orderable::Iccid("89724990000000000019".parse().unwrap());
            let error = supplier.download_order("call", eid, &what_to_order).await.unwrap_err();
            let text = error.to_string();
            let Es2PlusError::Unreachable(fault) = error else { panic!("{text}") };
            assert!(fault.what == what && fault.next.starts_with(next), "{fault}");
            assert!(text.contains(what) && text.contains(&status.to_string()), "{text}");
        }
    }

    #[tokio::test]
    async fn an_invalid_activation_code_is_not_accepted() {
        for (matching_id, is_valid) in [("FIRST-1", true), ("First_1", true), ("A$B", false)] {
            let link = link_from(tower::service_fn(move |_: Request<Bytes>| {
                let matching_id = matching_id.to_owned();
                let reply = ConfirmOrderReply { eid: None, matching_id, smdp_address: None };
                async move { Ok::<_, LinkFault>(json::response(PROTOCOL, Ok(&reply))) }
            }));
            let address = "dp.example".parse().unwrap();
            let (name, requester) = ("dp.example".parse().unwrap(), "2.999.1".to_owned());
            let supplier = Es2Plus { link, address, name, requester, reports_progress: false };
            let eid = "89049032000000000000000000000163".parse().unwrap();
            let iccid = "89724990000000000019".parse().unwrap();
            match supplier.confirm_order("call", eid, iccid).await {
                Ok(code) => assert!(is_valid && code.matching_id == matching_id, "{code}"),
                Err(Es2PlusError::Unreachable(fault)) => {
                    assert!(!is_valid && fault.next.contains("MatchingID"), "{fault}")
                }
                Err(Es2PlusError::Refused(status)) => panic!("{status}"),
            }
        }
    }
}
