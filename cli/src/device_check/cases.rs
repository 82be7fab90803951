//! The cases of a check. For a device: the faults of the catalogue that can occur between an LPA and an
//! SM-DP+, each at its first occasion in one function. For a card: those that it can notice.

use certs::Role;
use faults::{
    Entry, FalseMetadata, FalseStatement, FaultId, FaultSpec, LinkAct, RecordsAct, catalogue,
    catalogue::Places,
};
use world::Fault;

/// The functions of a download, with the record that each one commits.
const FUNCTIONS: [(&str, &str); 4] = [
    ("ES9+.InitiateAuthentication", "sm-dp:sessions#1"),
    ("ES9+.AuthenticateClient", "sm-dp:sessions#2"),
    ("ES9+.GetBoundProfilePackage", "sm-dp:bindings#1"),
    ("ES9+.HandleNotification", "sm-dp:notifications#1"),
];

/// The place of faults of the TLS certificate: they occur in each connection of the first run.
pub(crate) const HANDSHAKE: &str = "TLS handshake";

/// The functions that read records, with the first read of each one.
const READS: [(&str, &str); 3] = [
    ("ES9+.AuthenticateClient", "sm-dp:matching-ids#1"),
    ("ES9+.GetBoundProfilePackage", "sm-dp:packages#1"),
    ("ES9+.HandleNotification", "sm-dp:notifications#1"),
];

/// The subject of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An LPA or a device.
    Device,
    /// A card.
    Card,
}

/// The functions of a card in a download, with the numbers of the commands in which a fault occurs.
/// The numbers of LoadBoundProfilePackage are those of the first command, of the metadata, and of later
/// segments of the profile.
const CARD_FUNCTIONS: [(&str, &[u32]); 7] = [
    ("ES10b.GetEUICCInfo", &[1]),
    ("ES10b.GetEUICCChallenge", &[1]),
    ("ES10b.AuthenticateServer", &[1, 3]),
    ("ES10b.PrepareDownload", &[1, 3]),
    ("ES10b.LoadBoundProfilePackage", &[1, 2, 4, 6, 8, 10]),
    ("ES10b.RemoveNotificationFromList", &[1]),
    ("ES10c.GetProfilesInfo", &[1, 2]),
];

/// A fault at its place.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The fault with its place.
    pub(crate) fault: FaultSpec,
    /// The entry of the catalogue.
    pub(crate) entry: &'static Entry,
    /// The function in which the fault occurs.
    pub(crate) function: &'static str,
}

impl Case {
    fn new(entry: &'static Entry, place: &str, function: &'static str) -> Result<Self, Fault> {
        let text = format!("{}{}@{place}", entry.name, value(entry.id));
        let fault = text.parse().map_err(|e| Fault::caused_by(e, "cannot prepare a case", "report this"))?;
        Ok(Self { fault, entry, function })
    }
}

/// The value of a fault. The defaults of the catalogue are for virtual time, and would make a check
/// last for hours.
fn value(id: FaultId) -> &'static str {
    match id {
        FaultId::Link(LinkAct::LoseRequest | LinkAct::LoseAnswer | LinkAct::Reorder) => "=2s",
        FaultId::Link(LinkAct::Delay) => "=5s",
        FaultId::Link(LinkAct::SlowDrip) => "=1ms",
        FaultId::Records(RecordsAct::CrashBeforeCommit | RecordsAct::CrashAfterCommit) => "=1s",
        _ => "",
    }
}

/// Returns the cases whose name matches one of the patterns, or all cases if there is no pattern.
///
/// # Errors
/// No case matches.
pub(crate) fn select(subject: Subject, patterns: &[String]) -> Result<Vec<Case>, Fault> {
    let mut all = match subject {
        Subject::Device => of_device()?,
        Subject::Card => of_card()?,
    };
    all.retain(|case| {
        let name = case.fault.to_string();
        patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, &name))
    });
    if all.is_empty() {
        let command = match subject {
            Subject::Device => "device",
            Subject::Card => "card",
        };
        return Err(Fault::usage(
            "there is nothing to check",
            format!("no case matches {}", patterns.join(", ")),
            format!("`landfall check {command} --list` lists all cases; * in a pattern matches any text"),
        ));
    }
    Ok(all)
}

fn of_card() -> Result<Vec<Case>, Fault> {
    let mut all = Vec::new();
    for entry in catalogue::all() {
        match (entry.id, &entry.places) {
            (FaultId::Apdu(_), _) => {
                for (function, numbers) in CARD_FUNCTIONS {
                    for number in numbers {
                        all.push(Case::new(entry, &format!("{function}#{number}"), function)?);
                    }
                }
            }
            (FaultId::Link(LinkAct::CorruptAnswer), _) => {
                let function = "ES9+.GetBoundProfilePackage";
                all.push(Case::new(entry, &format!("{function}#1"), function)?);
            }
            // The SM-DP+ cannot match the result of a package with another ICCID to its order.
            (FaultId::Tamper(FalseStatement::Metadata(FalseMetadata::Iccid)), _) => {}
            // The offer and the package have the same false metadata, so that the LPA accepts them.
            (FaultId::Tamper(FalseStatement::Metadata(_)), Places::Functions(functions))
                if is_for_device(entry) && entry.peer.starts_with("eUICC") =>
            {
                let function =
                    FUNCTIONS.iter().map(|(name, _)| *name).find(|name| is_listed(functions, name));
                all.push(Case::new(entry, "ES9+", function.unwrap_or_default())?);
            }
            (FaultId::Tamper(_), Places::Functions(functions))
                if is_for_device(entry) && entry.peer.starts_with("eUICC") =>
            {
                for (function, _) in FUNCTIONS.iter().filter(|(name, _)| is_listed(functions, name)) {
                    all.push(Case::new(entry, &format!("{function}#1"), function)?);
                }
            }
            _ => {}
        }
    }
    Ok(all)
}

fn of_device() -> Result<Vec<Case>, Fault> {
    let mut all = Vec::new();
    for entry in catalogue::all() {
        match (entry.id, &entry.places) {
            (FaultId::Link(_), _) => {
                for (function, _) in FUNCTIONS {
                    all.push(Case::new(entry, &format!("{function}#1"), function)?);
                }
            }
            (FaultId::Tls(_), _) => all.push(Case::new(entry, "sm-dp", HANDSHAKE)?),
            // A faulty store is a fault that no device can recover from.
            (FaultId::Records(RecordsAct::TornWrite | RecordsAct::LostWrite), _) => {}
            (FaultId::Records(act), _) => {
                let places: &[_] = if act == RecordsAct::ReadFails { &READS } else { &FUNCTIONS };
                for (function, place) in places {
                    all.push(Case::new(entry, place, function)?);
                }
            }
            (FaultId::Tamper(_), Places::Functions(functions)) if is_for_device(entry) => {
                for (function, _) in FUNCTIONS.iter().filter(|(name, _)| is_listed(functions, name)) {
                    all.push(Case::new(entry, &format!("{function}#1"), function)?);
                }
            }
            _ => {}
        }
    }
    Ok(all)
}

/// True if the LPA or the eUICC has to refuse the tampered message of an SM-DP+.
fn is_for_device(entry: &Entry) -> bool {
    let is_of_server = match entry.id {
        FaultId::Tamper(FalseStatement::Certificate(role, _)) => matches!(role, Role::DpAuth | Role::DpPb),
        // The card has no other profile, so that this rule is allowed.
        FaultId::Tamper(FalseStatement::Metadata(FalseMetadata::RuleNotAlone)) => false,
        FaultId::Tamper(
            FalseStatement::Card(_)
            | FalseStatement::M2m(_)
            | FalseStatement::Eim(_)
            | FalseStatement::Iot(_),
        ) => false,
        FaultId::Tamper(_) => true,
        _ => false,
    };
    is_of_server && (entry.peer.contains("LPA") || entry.peer.contains("eUICC"))
}

fn is_listed(functions: &str, name: &str) -> bool {
    functions.split(", ").any(|function| function == name)
}

/// True if the pattern matches the whole text. `*` matches any text; other characters match
/// themselves.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| text.get(at..).is_some_and(|end| matches(rest, end)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use faults::Family;

    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let cases = select(Subject::Device, &[pattern.to_owned()]).unwrap();
        cases.iter().map(|case| case.fault.to_string()).collect()
    }

    #[test]
    fn a_pattern_selects_cases_by_fault_and_place() {
        assert_eq!(names("link/reset@ES9+.Get*"), ["link/reset@ES9+.GetBoundProfilePackage#1"]);
        assert_eq!(names("*/lose-answer*").len(), 4);
        assert_eq!(names("records/crash-after-commit=1s@sm-dp:bind*").len(), 1);
        assert!(
            select(Subject::Device, &["link/reset".to_owned()]).unwrap_err().why.contains("no case matches")
        );
    }

    #[test]
    fn all_link_faults_and_the_tampered_messages_of_servers_are_cases() {
        let all = select(Subject::Device, &[]).unwrap();
        let count = |family| all.iter().filter(|case| case.entry.id.family() == family).count();
        let link = catalogue::all().filter(|entry| entry.id.family() == Family::Link).count();
        assert_eq!(count(Family::Link), link * FUNCTIONS.len());
        assert!(count(Family::Tamper) > 80 && count(Family::Records) > 10);
        assert!(all.iter().all(|case| case.fault.to_string().contains('@')));
    }

    #[test]
    fn the_cases_of_a_card_are_those_that_it_can_notice() {
        let all = select(Subject::Card, &[]).unwrap();
        let count = |family| all.iter().filter(|case| case.entry.id.family() == family).count();
        assert_eq!(count(Family::Apdu), 3 * 15);
        assert!(count(Family::Tamper) > 60, "{}", count(Family::Tamper));
        assert!(all.iter().all(|case| case.entry.peer != "LPA"));
    }
}
