//! What must wait at the server before a case begins, and how it gets there.
//!
//! Through the admin API anything can be had. Where there is none, an operator can order on ES2+ what any server has in
//! stock; and where there is neither, activation codes that somebody has put there by hand will do for plain orders.

use std::fmt;

use rsp::ids::Iccid;

/// For which eUICC an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Whoever has the MatchingID.
    #[default]
    Anybody,
    /// The eUICC of the case.
    Mine,
    /// Another eUICC.
    Anothers,
}

/// How an order is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// By a MatchingID that the server makes: the activation code case.
    #[default]
    ByMatchingId,
    /// By the EID alone: the default SM-DP+ case.
    ByEid,
    /// By a MatchingID that an SM-DS has as an event.
    ByEvent,
}

/// Where the profile of an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// In stock, not ordered.
    Available,
    /// Confirmed, not released.
    Confirmed,
    /// To be downloaded.
    #[default]
    Released,
}

/// What is special about a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// It needs a USIM and Milenage.
    pub usim: bool,
    /// It has policy rule PPR1.
    pub ppr1: bool,
    /// It has an icon, so that its metadata are longer than one segment.
    pub icon: bool,
}

/// A profile that waits, and under which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// For which eUICC.
    pub whose: Whose,
    /// How it is found.
    pub found: Found,
    /// What the user must know.
    pub confirmation_code: Option<&'static str>,
    /// Where the profile stands.
    pub standing: Standing,
    /// Whether it may no longer be downloaded.
    pub expired: bool,
    /// Downloads that have begun, of how many that may.
    pub attempts: Option<(u32, u32)>,
    /// Wrong confirmation codes already given.
    pub wrong_confirmation_codes: u32,
    /// Whether it is never used up.
    pub reusable: bool,
    /// Whether the package is protected with keys of its own.
    pub ppk: bool,
    /// Whether the package may be bound only once.
    pub bound_once: bool,
    /// What is special about the profile.
    pub profile: Wanted,
}

impl Order {
    /// What of it no operator can ask for on ES2+.
    pub fn beyond_es2plus(&self) -> Option<&'static str> {
        let Self { expired, attempts, wrong_confirmation_codes, reusable, ppk, bound_once, profile, .. } =
            self;
        [
            (*expired, "an expired order"),
            (attempts.is_some(), "an order with downloads already begun"),
            (*wrong_confirmation_codes > 0, "an order with wrong confirmation codes already given"),
            (*reusable, "an order that is never used up"),
            (*ppk, "a package with profile protection keys"),
            (*bound_once, "a package that may be bound only once"),
            (profile.usim, "a profile that needs a USIM with Milenage"),
            (profile.ppr1, "a profile with PPR1"),
            (profile.icon, "a profile with an icon"),
        ]
        .into_iter()
        .find_map(|(wanted, what)| wanted.then_some(what))
    }

    /// What of it an activation code got by hand may not have.
    pub fn beyond_a_given_code(&self) -> Option<&'static str> {
        let plain = [
            (self.whose != Whose::Anybody, "an order for one EID"),
            (self.found != Found::ByMatchingId, "an order that is found without activation code"),
            (self.confirmation_code.is_some(), "an order with a confirmation code"),
            (self.standing != Standing::Released, "an order that is not released"),
        ];
        plain.into_iter().find_map(|(wanted, what)| wanted.then_some(what)).or_else(|| self.beyond_es2plus())
    }
}

impl fmt::Display for Order {
    /// As the documentation names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![match self.standing {
            Standing::Available => "a profile in stock".to_owned(),
            Standing::Confirmed => "an order that is not released".to_owned(),
            Standing::Released => "an order".to_owned(),
        }];
        match self.whose {
            Whose::Anybody => {}
            Whose::Mine => parts.push("for its EID".to_owned()),
            Whose::Anothers => parts.push("for another EID".to_owned()),
        }
        match self.found {
            Found::ByMatchingId => {}
            Found::ByEid => parts.push("without MatchingID".to_owned()),
            Found::ByEvent => parts.push("with an event at an SM-DS".to_owned()),
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

/// An order that waits.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its profile, where it is known.
    pub iccid: Option<Iccid>,
    /// What the LPA asks for.
    pub matching_id: String,
    /// What the user must know.
    pub confirmation_code: Option<&'static str>,
    /// What operators call its kind, where that is known.
    pub profile_type: Option<String>,
    /// The package that was put into stock, where the tester did it.
    pub package: Option<Vec<u8>>,
}
