//! An operator as a client of ES2+ (SGP.22 section 5.3), over any link.

use bytes::Bytes;
use http::Request;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, SmdpAddress, Version},
    sgp22::{
        es2plus::{
            self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
            DownloadOrderRequest, FinalProfileStatusIndicator, ReleaseProfileRequest,
        },
        json::{self, Answer, RequestHeader},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use world::{Event, Events, Fault, Link, Outcome, World};

/// SGP.22 version that the operator announces.
pub const PROTOCOL: Version = Version([2, 5, 0]);

/// An operator with a link to its SM-DP+.
pub struct Operator {
    link: Link,
    /// OID of the operator, which the SM-DP+ compares with its client certificate.
    requester: String,
    world: World,
    events: std::sync::Arc<dyn Events>,
}

/// Response body of functions without output data.
#[derive(Debug, serde::Deserialize)]
struct NoOutput {}

impl Operator {
    /// Creates an operator with the identifier `requester`.
    pub fn new(
        link: Link,
        requester: impl Into<String>,
        world: World,
        events: std::sync::Arc<dyn Events>,
    ) -> Self {
        Self { link, requester: requester.into(), world, events }
    }

    /// Identifier of the operator at the SM-DP+.
    pub fn identifier(&self) -> &str {
        &self.requester
    }

    /// Orders, confirms and releases a profile. Returns its activation code at the SM-DP+ with this
    /// address.
    ///
    /// # Errors
    /// The SM-DP+ refuses one of the functions or is unreachable.
    pub async fn order(
        &self,
        iccid: Iccid,
        eid: Option<Eid>,
        smdp_address: SmdpAddress,
    ) -> Result<ActivationCode, Fault> {
        self.download_order(eid, Some(iccid), None).await?;
        let confirmed = self.confirm_order(iccid, eid, None, None, true).await?;
        Ok(ActivationCode {
            smdp_address,
            matching_id: confirmed.matching_id,
            smdp_oid: None,
            confirmation_code_required: false,
        })
    }

    /// ES2+.DownloadOrder: reserves a profile by ICCID or by type.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn download_order(
        &self,
        eid: Option<Eid>,
        iccid: Option<Iccid>,
        profile_type: Option<String>,
    ) -> Result<Iccid, Fault> {
        let request = DownloadOrderRequest { header: self.header(), eid, iccid, profile_type };
        let reply: DownloadOrderReply = self.call("downloadOrder", &request).await?;
        Ok(reply.iccid)
    }

    /// ES2+.ConfirmOrder: confirms an order. Returns its MatchingID.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn confirm_order(
        &self,
        iccid: Iccid,
        eid: Option<Eid>,
        matching_id: Option<String>,
        confirmation_code: Option<String>,
        release: bool,
    ) -> Result<ConfirmOrderReply, Fault> {
        self.confirm_event(iccid, eid, matching_id, confirmation_code, None, release).await
    }

    /// ES2+.ConfirmOrder with an optional SM-DS for the event registration.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request, or the SM-DP+ or the SM-DS is unreachable.
    pub async fn confirm_event(
        &self,
        iccid: Iccid,
        eid: Option<Eid>,
        matching_id: Option<String>,
        confirmation_code: Option<String>,
        smds_address: Option<String>,
        release: bool,
    ) -> Result<ConfirmOrderReply, Fault> {
        let request = ConfirmOrderRequest {
            header: self.header(),
            iccid,
            eid,
            matching_id,
            confirmation_code,
            smds_address,
            release_flag: release,
        };
        self.call("confirmOrder", &request).await
    }

    /// ES2+.CancelOrder.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn cancel_order(
        &self,
        iccid: Iccid,
        eid: Option<Eid>,
        matching_id: Option<String>,
        final_status: FinalProfileStatusIndicator,
    ) -> Result<(), Fault> {
        let request = CancelOrderRequest {
            header: self.header(),
            iccid,
            eid,
            matching_id,
            final_profile_status_indicator: final_status,
        };
        self.call::<NoOutput>("cancelOrder", &request).await.map(|_| ())
    }

    /// Calls a function of ES2+.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn release_profile(&self, iccid: Iccid) -> Result<(), Fault> {
        let request = ReleaseProfileRequest { header: self.header(), iccid };
        self.call::<NoOutput>("releaseProfile", &request).await.map(|_| ())
    }

    /// Creates a request header. Its call identifier is unique, because an SM-DP+ treats a call
    /// with a known identifier as a repetition.
    fn header(&self) -> RequestHeader {
        RequestHeader {
            function_requester_identifier: self.requester.clone(),
            function_call_identifier: format!("landfall-{:032x}", u128::from_be_bytes(self.world.random())),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        function: &'static str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let request: Request<Bytes> = json::request(&es2plus::path(function), PROTOCOL, body);
        let sent = request.body().len();
        let response = world::send(&self.link, request).await?;
        let answer = json::answer::<T>(&response);
        let outcome = match &answer {
            Ok(Answer::Done(_)) => Outcome::Done,
            Ok(Answer::Refused(why)) => Outcome::Refused(why.to_string()),
            Err(e) => Outcome::Failed(e.to_string()),
        };
        let spelled = format!("{}{}", function[..1].to_uppercase(), &function[1..]);
        self.events.tell(
            Event::new(self.world.clock.now(), "operator", spelled.clone())
                .with_peer("ES2+", "SM-DP+")
                .with_bytes(sent, response.body().len())
                .with_outcome(outcome),
        );
        match answer {
            Ok(Answer::Done(reply)) => Ok(reply),
            Ok(Answer::Refused(why)) => Err(Fault::new(
                format!("the SM-DP+ refused ES2+.{spelled}"),
                why.to_string(),
                "correct the order, or check its state with `landfall sm-dp list`",
            )),
            Err(e) => Err(Fault::caused_by(
                e,
                format!("invalid response to ES2+.{spelled}"),
                "check that the address is that of an SM-DP+, and that it accepts the client certificate",
            )),
        }
    }
}
