//! An operator as a client of ES2+ (SGP.22 section 5.3), over any link.

use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, SmdpAddress, Version},
    sgp22::{
        Function,
        es2plus::{ConfirmOrder, ConfirmOrderRequest, DownloadOrder, DownloadOrderRequest},
        json::RequestHeader,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use world::{CallError, Event, Events, Fault, Link, World};

/// SGP.22 version that the operator announces.
pub const PROTOCOL: Version = Version([2, 5, 0]);

/// An operator with a link to its SM-DP+.
pub struct Operator {
    link: Link,
    /// OID of the operator. The SM-DP+ compares it with the client certificate of the operator.
    requester: String,
    world: World,
    events: std::sync::Arc<dyn Events>,
}

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
        let confirmation = ConfirmOrderRequest { eid, ..self.confirmation(iccid) };
        let confirmed = self.call::<ConfirmOrder>(&confirmation).await?;
        Ok(ActivationCode {
            smdp_address,
            matching_id: confirmed.matching_id,
            smdp_oid: None,
            confirmation_code_required: false,
            findings: Vec::new(),
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
        Ok(self.call::<DownloadOrder>(&request).await?.iccid)
    }

    /// Creates a ConfirmOrder request for any eUICC. The request also releases the profile.
    pub fn confirmation(&self, iccid: Iccid) -> ConfirmOrderRequest {
        ConfirmOrderRequest::new(self.header(), iccid)
    }

    /// Creates a request header. Its call identifier is unique, because an SM-DP+ treats a call
    /// with a known identifier as a repetition.
    pub fn header(&self) -> RequestHeader {
        let call = format!("landfall-{:032x}", u128::from_be_bytes(self.world.random()));
        RequestHeader::new(self.requester.clone(), call)
    }

    /// Calls a function of ES2+.
    ///
    /// # Errors
    /// The SM-DP+ refuses the request or is unreachable.
    pub async fn call<F>(&self, request: &F::Request) -> Result<F::Reply, Fault>
    where
        F: Function<Request: Serialize, Reply: DeserializeOwned>,
    {
        let call = world::call::<F>(&self.link, PROTOCOL, request).await;
        let function = F::title();
        self.events.emit(
            Event::new(self.world.clock.now(), "operator", function.clone())
                .with_peer("ES2+", "SM-DP+")
                .with_bytes(call.sent, call.received)
                .with_outcome(call.outcome())
                .with_findings(call.findings),
        );
        call.result.map_err(|error| match error {
            CallError::Link(fault) => fault.into(),
            CallError::Refused(status) => Fault::new(
                format!("the SM-DP+ refused ES2+.{function}"),
                status.to_string(),
                "correct the order, or check its state with `landfall sm-dp list`",
            )
            .refused_with(Some(status.into())),
            CallError::Invalid(why) if why.is_server_failure() => Fault::caused_by(
                why,
                format!("ES2+.{function} failed"),
                "repeat the call; if it fails again, correct the problem at the SM-DP+, whose log has the details",
            ),
            CallError::Invalid(why) => Fault::caused_by(
                why,
                format!("invalid response to ES2+.{function}"),
                "check that the address is that of an SM-DP+, and that it accepts the client certificate",
            ),
        })
    }
}
