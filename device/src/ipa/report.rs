//! The report of a check-in.

use std::fmt;

use rsp::ids::TransactionId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lpa::Delivery;
use crate::modem::Registered;

/// The report of one check-in.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckIn {
    /// The registration at the end. Absent if the device has another connection.
    pub registered: Option<Registered>,
    /// Changes of the profile without a package of an eIM, first to last.
    pub changes: Vec<ConnectionChange>,
    /// The visit of each eIM, first to last.
    pub visits: Vec<Visit>,
    /// The notifications that were sent to SM-DP+s or through an eIM.
    pub notifications: Vec<Delivery>,
}

/// A change of the enabled profile that the IPA made itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionChange {
    /// The former profile was enabled, because the result of a package could not be delivered.
    RolledBack,
    /// The Fallback Profile was enabled, because the device had no service.
    FellBack,
    /// The profile that the Fallback Profile had replaced was enabled.
    ReturnedFromFallback,
    /// The profile that was just installed was enabled.
    ImmediatelyEnabled,
}

impl fmt::Display for ConnectionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RolledBack => "rolled back to the former profile",
            Self::FellBack => "enabled the Fallback Profile",
            Self::ReturnedFromFallback => "returned from the Fallback Profile",
            Self::ImmediatelyEnabled => "enabled the installed profile",
        })
    }
}

/// The visit of one eIM.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Visit {
    /// The eIM.
    pub eim_id: String,
    /// The packages, first to last.
    pub packages: Vec<ExecutedPackage>,
    /// The reason for which the visit ended.
    pub end: VisitEnd,
}

/// The reason for which the visit of an eIM ended.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", tag = "reason", content = "why")]
pub enum VisitEnd {
    /// The eIM has no further package.
    NoPackage,
    /// The eIM refused the request.
    Refused(String),
    /// The eIM did not answer, or its answer is invalid.
    Failed(String),
    /// The visit continues at the next check-in, because a result could not be delivered or there
    /// were too many packages.
    Interrupted,
}

impl fmt::Display for VisitEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPackage => f.write_str("no further package"),
            Self::Refused(why) | Self::Failed(why) => f.write_str(why),
            Self::Interrupted => f.write_str("to be continued"),
        }
    }
}

/// A package of an eIM, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutedPackage {
    /// The type of the package in the standard.
    pub package: &'static str,
    /// The identifier that the eIM gave to the package.
    pub eim_transaction_id: Option<TransactionId>,
    /// The result of each operation, or of the whole package.
    pub results: Vec<String>,
    /// The delivery of the result.
    pub delivery: ResultDelivery,
}

/// The delivery of a result to an eIM.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "why")]
pub enum ResultDelivery {
    /// The eIM has the result.
    Delivered,
    /// The eIM refused the result. The eUICC keeps it.
    Refused(String),
    /// The eIM may not have the result. It is sent again at the next check-in.
    Failed(String),
}

impl fmt::Display for ExecutedPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.package, self.results.join(", "))?;
        match &self.delivery {
            ResultDelivery::Delivered => Ok(()),
            ResultDelivery::Refused(why) => write!(f, "; the eIM refused the result: {why}"),
            ResultDelivery::Failed(why) => write!(f, "; the result was not delivered: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_why_an_eim_got_no_result_is_shown() {
        let why = || "the eIM is out of reach".to_owned();
        assert!(ConnectionChange::RolledBack.to_string().contains("rolled back"));
        assert_eq!(VisitEnd::Failed(why()).to_string(), why());
        for delivery in [ResultDelivery::Refused(why()), ResultDelivery::Failed(why())] {
            let results = vec!["enable ok(0)".to_owned(), "delete ok(0)".to_owned()];
            let shown = ExecutedPackage {
                package: "EuiccPackageRequest",
                eim_transaction_id: None,
                results,
                delivery,
            };
            let shown = shown.to_string();
            assert!(shown.contains("enable ok(0), delete ok(0)") && shown.ends_with(&why()), "{shown}");
        }
    }
}
