//! Client of the API of an eIM (docs/eim-api.json). It reads only what the agent needs.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Plmn, TransactionId},
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json};
use world::{Fault, FaultKind, Link};

use crate::check_in::CardProfile;

/// Maximum number of devices on a page of the list.
pub(super) const PAGE: usize = 1000;
/// profileState of an enabled profile: SGP.22 section 5.7.15.
const ENABLED: i64 = 1;

/// The API of an eIM.
#[derive(Clone)]
pub(super) struct EimApi {
    link: Link,
    /// `host:port`.
    authority: Box<str>,
}

/// A device as the eIM knows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceStatus {
    pub(super) eid: Eid,
    /// The time of its last request for a package.
    #[serde(default)]
    pub(super) last_poll: Option<Timestamp>,
    /// The network in which it was registered.
    #[serde(default, deserialize_with = "network")]
    pub(super) r_plmn: Option<Plmn>,
    /// The last change that was made without this eIM.
    #[serde(default)]
    pub(super) state_change: Option<StateChange>,
}

/// A change that was made without this eIM.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct StateChange {
    pub(super) at: Timestamp,
}

/// An order at the eIM.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Order {
    state: State,
    #[serde(default)]
    result: Option<OrderResult>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum State {
    Queued,
    Delivered,
    Result,
    Expired,
}

/// The result of an order.
#[derive(Clone, Debug, Deserialize)]
struct OrderResult {
    succeeded: bool,
    #[serde(default)]
    operations: Vec<Operation>,
    #[serde(default)]
    error: Option<Code>,
}

#[derive(Clone, Debug, Deserialize)]
struct Operation {
    operation: String,
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    profiles: Option<Vec<Profile>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Code {
    #[serde(default)]
    number: Option<i64>,
    meaning: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Profile {
    iccid: Option<Iccid>,
    #[serde(default)]
    profile_state: Option<i64>,
    #[serde(default)]
    profile_owner: Option<Owner>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Owner {
    mcc_mnc: [u8; 3],
}

impl Order {
    /// True if the order has a result or has expired.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, State::Result | State::Expired)
    }

    /// True if the device did not fetch the order in time.
    pub(super) fn is_expired(&self) -> bool {
        self.state == State::Expired
    }

    /// The profiles on the card, if the order listed them.
    pub(super) fn profiles(&self) -> Option<Vec<CardProfile>> {
        let result = self.result.as_ref().filter(|result| result.succeeded)?;
        let listed = result.operations.iter().find_map(|operation| operation.profiles.as_ref())?;
        let on_card = listed.iter().filter_map(|profile| {
            Some(CardProfile {
                iccid: profile.iccid?,
                enabled: profile.profile_state == Some(ENABLED),
                home: profile.profile_owner.and_then(|owner| Plmn::from_bytes(owner.mcc_mnc).ok()),
            })
        });
        Some(on_card.collect())
    }

    /// The reason why the order failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        if self.is_expired() {
            return Some("the device did not fetch the order in time".to_owned());
        }
        let result = self.result.as_ref().filter(|result| !result.succeeded)?;
        if let Some(error) = &result.error {
            return Some(error.meaning.clone());
        }
        let is_failed = |operation: &&Operation| {
            operation.operation == "rollback"
                || operation.code.as_ref().is_some_and(|code| code.number != Some(0))
        };
        Some(match result.operations.iter().find(is_failed) {
            Some(Operation { operation, code: Some(code), .. }) => format!("{operation}: {}", code.meaning),
            _ => "the result does not contain a success".to_owned(),
        })
    }
}

/// The content of an order.
#[derive(Clone, Debug)]
pub(super) enum Package {
    /// listProfileInfo.
    List,
    /// Download of a profile by the IPA.
    Download(ActivationCode),
    /// enable, with the rollback if the device cannot report the result.
    Enable(Iccid),
}

impl Package {
    fn to_json(&self) -> Value {
        match self {
            Self::List => json!({ "profileOperations": [{ "listProfileInfo": {} }] }),
            Self::Download(code) => {
                json!({ "download": { "source": { "activationCode": format!("LPA:{code}") } } })
            }
            Self::Enable(iccid) => {
                json!({ "profileOperations": [{ "enable": { "iccid": iccid, "rollback": true } }] })
            }
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Download(_) => "download",
            Self::Enable(_) => "enable",
        })
    }
}

impl EimApi {
    /// Returns a client of the API at `host:port`.
    pub(super) fn new(link: Link, authority: &str) -> Self {
        Self { link, authority: authority.into() }
    }

    /// Returns the devices after this EID, in the order of their EIDs. A page with less than [`PAGE`]
    /// devices is the last one.
    pub(super) async fn devices(&self, after: Option<Eid>) -> Result<Vec<DeviceStatus>, Fault> {
        let after = after.map_or(String::new(), |eid| format!("&after={eid}"));
        let path = format!("/admin/v1/devices?limit={PAGE}{after}");
        Ok(self.send(Method::GET, &path, Bytes::new()).await?.unwrap_or_default())
    }

    /// Returns an order, if the eIM has it.
    pub(super) async fn order(&self, id: &TransactionId) -> Result<Option<Order>, Fault> {
        self.send(Method::GET, &format!("/admin/v1/orders/{id}"), Bytes::new()).await
    }

    /// Places an order, unless the eIM has it already.
    pub(super) async fn place(
        &self,
        eid: Eid,
        id: &TransactionId,
        package: &Package,
        lifetime_seconds: u64,
    ) -> Result<(), Fault> {
        let body = json!({
            "eid": eid,
            "transactionId": id,
            "package": package.to_json(),
            "lifetimeSeconds": lifetime_seconds,
        });
        let body = Bytes::from(body.to_string());
        self.send::<Order>(Method::POST, "/admin/v1/orders", body).await.map(drop)
    }

    /// Sends a request. Returns `None` if the eIM does not have what the path names.
    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Option<T>, Fault> {
        let what = || format!("{method} {path} at the eIM {} failed", self.authority);
        let invalid = |why: &dyn fmt::Display| {
            Fault::new(what(), why.to_string(), "check that this is the address of the API of an eIM")
        };
        let json = HeaderValue::from_static("application/json");
        let request = Request::builder().method(&method).uri(format!("http://{}{path}", self.authority));
        let request = request.header(header::CONTENT_TYPE, json).body(body);
        let answer = world::send(&self.link, request.map_err(|error| invalid(&error))?).await;
        let answer = answer.map_err(|fault| {
            let next = fault.next();
            Fault::new(what(), fault.to_string(), next).of_kind(FaultKind::Unreachable)
        })?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                serde_json::from_slice(answer.body()).map(Some).map_err(|error| invalid(&error))
            }
            status => {
                let why = format!("{status}: {}", String::from_utf8_lossy(answer.body()));
                let kind = match status.is_client_error() {
                    true => FaultKind::Refused,
                    false => FaultKind::Unreachable,
                };
                Err(Fault::new(what(), why, "correct what the answer names").of_kind(kind))
            }
        }
    }
}

/// Reads MCC and MNC, three octets in hexadecimal as in TS 24.008. Another value is unknown.
fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Plmn>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let octets = text.and_then(|text| <[u8; 3]>::try_from(hex::decode(text).ok()?).ok());
    Ok(octets.and_then(|octets| Plmn::from_bytes(octets).ok()))
}
