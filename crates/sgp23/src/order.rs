//! The orders that cases need.
//!
//! The admin API can create any order. Without it, an operator can order profiles from the server's
//! stock over ES2+. Without either, activation codes that were created in advance can be used for
//! plain orders.

use std::fmt;

use rsp::ids::Iccid;

/// The eUICC that an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntendedEuicc {
    /// Any eUICC with the MatchingID.
    Any,
    /// The eUICC of the case.
    Own,
    /// Another eUICC.
    Other,
}

/// The key by which the server finds an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupKey {
    /// A MatchingID that the server generates (activation code).
    ByMatchingId,
    /// The EID alone (default SM-DP+).
    ByEid,
    /// A MatchingID that an SM-DS holds as an event.
    ByEvent,
}

/// The state of the profile of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockState {
    /// In stock and not ordered.
    Available,
    /// Confirmed but not released.
    Confirmed,
    /// Released for download.
    Released,
}

/// Special properties of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileFeatures {
    /// The profile requires a USIM and Milenage.
    pub usim: bool,
    /// The profile requires getIdentity, whose bit of UICCCapability was reserved before version 2.3.
    pub get_identity: bool,
    /// The profile has the policy rule PPR1.
    pub ppr1: bool,
    /// The profile has an icon, which makes its metadata longer than one segment.
    pub icon: bool,
}

/// An order for a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The eUICC that the order is for.
    pub intended_for: IntendedEuicc,
    /// The key by which the server finds the order.
    pub lookup: LookupKey,
    /// The confirmation code, if one is required.
    pub confirmation_code: Option<&'static str>,
    /// The state of the profile.
    pub state: StockState,
    /// True if the order has expired.
    pub expired: bool,
    /// The number of downloads started, and the maximum.
    pub attempts: Option<(u32, u32)>,
    /// The number of wrong confirmation codes already received.
    pub wrong_confirmation_codes: u32,
    /// True if the order can be used any number of times.
    pub reusable: bool,
    /// True if the package is protected with profile protection keys.
    pub ppk: bool,
    /// True if the package can be bound only once.
    pub bound_once: bool,
    /// The special properties of the profile.
    pub profile: ProfileFeatures,
}

impl ProfileFeatures {
    /// No special properties.
    pub const NONE: Self = Self { usim: false, get_identity: false, ppr1: false, icon: false };
}

impl Order {
    /// A released order for any eUICC that has its MatchingID, without special properties.
    pub const PLAIN: Self = Self {
        intended_for: IntendedEuicc::Any,
        lookup: LookupKey::ByMatchingId,
        confirmation_code: None,
        state: StockState::Released,
        expired: false,
        attempts: None,
        wrong_confirmation_codes: 0,
        reusable: false,
        ppk: false,
        bound_once: false,
        profile: ProfileFeatures::NONE,
    };

    /// Returns the first property that an order over ES2+ cannot have.
    pub fn beyond_es2plus(&self) -> Option<&'static str> {
        let Self { expired, attempts, wrong_confirmation_codes, reusable, ppk, bound_once, profile, .. } =
            self;
        [
            (*expired, "an expired order"),
            (attempts.is_some(), "an order with earlier downloads"),
            (*wrong_confirmation_codes > 0, "an order with earlier wrong confirmation codes"),
            (*reusable, "a reusable order"),
            (*ppk, "a package with profile protection keys"),
            (*bound_once, "a package that can be bound only once"),
            (profile.usim, "a profile that requires a USIM with Milenage"),
            (profile.get_identity, "a profile that requires getIdentity"),
            (profile.ppr1, "a profile with PPR1"),
            (profile.icon, "a profile with an icon"),
        ]
        .into_iter()
        .find_map(|(is_requested, what)| is_requested.then_some(what))
    }

    /// Returns the first property that a configured activation code may not have.
    pub fn beyond_configured_code(&self) -> Option<&'static str> {
        let plain = [
            (self.intended_for != IntendedEuicc::Any, "an order for one EID"),
            (self.lookup != LookupKey::ByMatchingId, "an order without activation code"),
            (self.confirmation_code.is_some(), "an order with a confirmation code"),
            (self.state != StockState::Released, "an order that is not released"),
        ];
        plain
            .into_iter()
            .find_map(|(is_requested, what)| is_requested.then_some(what))
            .or_else(|| self.beyond_es2plus())
    }
}

impl fmt::Display for Order {
    /// Formats the order for the documentation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![match self.state {
            StockState::Available => "a profile in stock".to_owned(),
            StockState::Confirmed => "an order that is not released".to_owned(),
            StockState::Released => "an order".to_owned(),
        }];
        match self.intended_for {
            IntendedEuicc::Any => {}
            IntendedEuicc::Own => parts.push("for its EID".to_owned()),
            IntendedEuicc::Other => parts.push("for another EID".to_owned()),
        }
        match self.lookup {
            LookupKey::ByMatchingId => {}
            LookupKey::ByEid => parts.push("without MatchingID".to_owned()),
            LookupKey::ByEvent => parts.push("with an event at an SM-DS".to_owned()),
        }
        if self.confirmation_code.is_some() {
            parts.push("with confirmation code".to_owned());
        }
        if let Some(what) = self.beyond_es2plus() {
            parts.push(format!("({what})"));
        }
        f.write_str(&parts.join(" "))
    }
}

/// A placed order.
#[derive(Clone, Debug)]
pub struct PlacedOrder {
    /// The ICCID of the profile, if it is known.
    pub iccid: Option<Iccid>,
    /// The MatchingID that the LPA sends.
    pub matching_id: String,
    /// The confirmation code, if one is required.
    pub confirmation_code: Option<&'static str>,
    /// The profile type, if it is known.
    pub profile_type: Option<String>,
    /// The package, if the tester added it to the stock.
    pub package: Option<Vec<u8>>,
}
