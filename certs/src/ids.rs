//! Numbered EIDs of a manufacturer.

use rsp::ids::{Eid, InvalidId};

/// Returns the EID that consists of this prefix, zeros, this number, and the check digits of
/// SGP.29. `numbered_eid("89049032", 7)` is the EID of the seventh card of manufacturer 89049032.
///
/// # Errors
/// Prefix and number together have more than 30 digits, or the prefix contains something other than
/// digits.
pub fn numbered_eid(prefix: &str, number: u64) -> Result<Eid, InvalidId> {
    let room = 30usize.saturating_sub(prefix.len());
    Eid::with_check_digits(&format!("{prefix}{number:0room$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_eids_keep_prefix_and_number() {
        let eid = numbered_eid("89049032", 7).unwrap();
        assert!(eid.to_string().starts_with("890490320000000000000000000007"));
        assert!(eid.has_valid_check_digits());
        assert_eq!(
            numbered_eid("89049032123451234512345678", 9012).unwrap().to_string(),
            "89049032123451234512345678901235",
            "the EID of the SGP.26 test eUICC"
        );
        assert!(numbered_eid(&"8".repeat(30), 1).is_err());
        assert!(numbered_eid("8904X", 1).is_err());
    }
}
