//! Who brings the profiles of an operator; and ES2+ (SGP.22 section 5.3), as an owner's platform calls it: orders at its SM-DP+.

use std::fmt;

use certs::ServerName;
use rsp::{
    activation_code::{ActivationCode, InvalidActivationCode},
    ids::{Eid, Iccid, SmdpAddress, Version},
    sgp22::{
        es2plus::{
            self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
            DownloadOrderRequest, FinalProfileStatusIndicator,
        },
        json::{self, Answer, RequestHeader, StatusCodeData},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Fault, Link};

use localize::Orderable;

/// The version of SGP.22 that the platform names.
const PROTOCOL: Version = Version([2, 5, 0]);

/// Who brings the profiles of an operator.
#[derive(Clone)]
pub enum Supplier {
    /// Its SM-DP+, at which the platform orders them; the device fetches them.
    SmDpPlus(Es2Plus),
    /// The operator itself, from an SM-DP of SGP.02: the platform calls nobody, and says what it wants to who acts for the device.
    Operator,
}

impl Supplier {
    /// The SM-DP+, if it is one.
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
    /// The way to its SM-DP+.
    pub link: Link,
    /// Where devices find that SM-DP+, if it does not say so itself.
    pub address: SmdpAddress,
    /// The name in its CERT.DP.TLS, which it shows as a client too: by it, it is known when it tells how a download goes.
    pub name: ServerName,
    /// The OID by which it knows us.
    pub requester: String,
    /// Whether it tells how downloads go (ES2+.HandleDownloadProgressInfo).
    pub tells: bool,
}

/// Why there is no order.
#[derive(Debug)]
pub(crate) enum NoOrder {
    /// The SM-DP+ says no. It will say so again.
    Refused(StatusCodeData),
    /// It is not known whether it was done.
    Away(Fault),
}

impl fmt::Display for NoOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "the SM-DP+ refused: {status}"),
            Self::Away(fault) => fmt::Display::fmt(fault, f),
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
    ) -> Result<Iccid, NoOrder> {
        let (iccid, profile_type) = match what {
            Orderable::Iccid(iccid) => (Some(*iccid), None),
            Orderable::ProfileType(name) => (None, Some(name.0.clone())),
        };
        let request = DownloadOrderRequest { header: self.header(call), eid: Some(eid), iccid, profile_type };
        let reply: DownloadOrderReply = self.call("downloadOrder", &request).await?;
        Ok(reply.iccid)
    }

    /// ES2+.ConfirmOrder, and released at once: the activation code.
    pub(crate) async fn confirm_order(
        &self,
        call: &str,
        eid: Eid,
        iccid: Iccid,
    ) -> Result<ActivationCode, NoOrder> {
        let request = ConfirmOrderRequest {
            header: self.header(call),
            iccid,
            eid: Some(eid),
            matching_id: None,
            confirmation_code: None,
            smds_address: None,
            release_flag: true,
        };
        let reply: ConfirmOrderReply = self.call("confirmOrder", &request).await?;
        let smdp_address = reply.smdp_address.and_then(|address| address.parse().ok());
        let code = ActivationCode {
            smdp_address: smdp_address.unwrap_or_else(|| self.address.clone()),
            matching_id: reply.matching_id,
            smdp_oid: None,
            confirmation_code_required: false,
        };
        // What no device could read would not be read back from the records either.
        code.to_string().parse().map_err(|why: InvalidActivationCode| {
            let next = "have the SM-DP+ give MatchingIDs of A-Z, 0-9 and - (SGP.22 section 4.1)";
            NoOrder::Away(Fault::caused_by(why, "no usable answer to ES2+ confirmOrder", next))
        })
    }

    /// ES2+.CancelOrder: the profile may be ordered again.
    pub(crate) async fn cancel_order(&self, call: &str, eid: Eid, iccid: Iccid) -> Result<(), NoOrder> {
        #[derive(Deserialize)]
        struct NoOutput {}

        let request = CancelOrderRequest {
            header: self.header(call),
            iccid,
            eid: Some(eid),
            matching_id: None,
            final_profile_status_indicator: FinalProfileStatusIndicator::Available,
        };
        self.call::<NoOutput>("cancelOrder", &request).await.map(|_| ())
    }

    /// An SM-DP+ takes a call with an identifier that it knows for a repetition, and answers as before (section 5.2.1).
    fn header(&self, call: &str) -> RequestHeader {
        RequestHeader {
            function_requester_identifier: self.requester.clone(),
            function_call_identifier: call.to_owned(),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        function: &'static str,
        body: &impl Serialize,
    ) -> Result<T, NoOrder> {
        let request = json::request(&es2plus::path(function), PROTOCOL, body);
        let response = world::send(&self.link, request).await.map_err(|fault| NoOrder::Away(fault.into()))?;
        match json::answer::<T>(&response) {
            Ok(Answer::Done(reply)) => Ok(reply),
            Ok(Answer::Refused(status)) => Err(NoOrder::Refused(status)),
            Err(error) => Err(NoOrder::Away(Fault::caused_by(
                error,
                format!("no usable answer to ES2+ {function}"),
                "check that the address is that of an SM-DP+ which knows the platform's certificate",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use world::{LinkFault, link_from};

    use super::*;

    #[tokio::test]
    async fn an_activation_code_that_no_device_could_read_is_no_answer() {
        for (matching_id, is_one) in [("FIRST-1", true), ("First_1", false), ("A$B", false)] {
            let link = link_from(tower::service_fn(move |_: Request<Bytes>| {
                let matching_id = matching_id.to_owned();
                let reply = ConfirmOrderReply { eid: None, matching_id, smdp_address: None };
                async move { Ok::<_, LinkFault>(json::response(PROTOCOL, Ok(&reply))) }
            }));
            let address = "dp.example".parse().unwrap();
            let (name, requester) = ("dp.example".parse().unwrap(), "2.999.1".to_owned());
            let supplier = Es2Plus { link, address, name, requester, tells: false };
            let eid = "89049032000000000000000000000163".parse().unwrap();
            let iccid = "89724990000000000019".parse().unwrap();
            match supplier.confirm_order("call", eid, iccid).await {
                Ok(code) => assert!(is_one && code.matching_id == matching_id, "{code}"),
                Err(NoOrder::Away(fault)) => assert!(!is_one && fault.next.contains("MatchingID"), "{fault}"),
                Err(NoOrder::Refused(status)) => panic!("{status}"),
            }
        }
    }
}
