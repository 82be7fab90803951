//! The eligibility check of a profile for an eUICC: SGP.22 section 5.6.3.

use rsp::{
    der::{Reader, Tag},
    finding::FindingKind,
    sgp22::{EuiccInfo2, ppr, uicc_capability},
    status::{Refusal, Status},
};

use crate::{context::Context, records::Profile};

/// Compares the needs of the profile with the capabilities of the eUICC.
pub(crate) fn check(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    euicc: &EuiccInfo2,
) -> Result<(), Refusal> {
    // req: SGP.22-5.6.3-Capability
    for bit in profile.needs.iter().copied().filter(|bit| !euicc.uicc_capability.has(*bit)) {
        let name = uicc_capability::NAMES.iter().find(|(_, number)| *number == bit);
        let name = name.map_or_else(|| format!("bit {bit}"), |(name, _)| (*name).to_owned());
        if euicc.is_reserved_capability(bit) {
            context.report(FindingKind::CapabilityReserved, format!("{name}, SVN {}", euicc.svn));
            continue;
        }
        return Err(Status::ProfileNotEligible
            .because(format!(
                "the profile needs {name} (bit {bit} of UICCCapability), which the eUICC does not have"
            ))
            .about(profile.iccid));
    }
    // req: SGP.22-5.6.3-PolicyRule
    if let (Some(rules), Some(forbidden)) =
        (&profile.metadata.profile_policy_rules, &euicc.forbidden_profile_policy_rules)
        && let Some(rule) =
            [ppr::PPR1, ppr::PPR2].into_iter().find(|rule| rules.has(*rule) && forbidden.has(*rule))
    {
        return Err(Status::ProfileNotEligible
            .because(format!("the eUICC forbids policy rule PPR{rule}, which the profile has"))
            .about(profile.iccid));
    }
    match free_memory(&euicc.ext_card_resource) {
        Some(free) if free >= profile.memory => Ok(()),
        // req: SGP.22-5.6.3-Memory
        Some(free) => Err(Status::EuiccInsufficientMemory
            .because(format!("the profile needs about {} octets, the eUICC has {free}", profile.memory))),
        // The field is an OCTET STRING. The eUICC itself refuses a package that does not fit.
        None => {
            context.report(FindingKind::CardResourcesUnreadable, hex::encode_upper(&euicc.ext_card_resource));
            Ok(())
        }
    }
}

/// Returns the free non-volatile memory in octets from Extended Card Resources (TS 102 226 section
/// 8.2.1.7.2).
fn free_memory(ext_card_resource: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(ext_card_resource);
    while let Ok(Some(_)) = reader.peek() {
        let (tag, contents) = reader.tlv().ok()?;
        if tag == Tag(0x82) && !contents.is_empty() {
            let append = |sum: u32, octet: &u8| sum.checked_mul(256)?.checked_add((*octet).into());
            // No profile needs more than the maximum of u32.
            return Some(contents.iter().try_fold(0, append).unwrap_or(u32::MAX));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_card_resources() {
        assert_eq!(free_memory(&[0x81, 1, 0, 0x82, 3, 1, 0, 0, 0x83, 1, 9]), Some(0x10000));
        assert_eq!(free_memory(&[0x81, 1, 0]), None);
        assert_eq!(free_memory(&[0x82, 9]), None);
        assert_eq!(free_memory(&[0x82, 0]), None);
        assert_eq!(free_memory(&[0x82, 5, 1, 0, 0, 0, 0]), Some(u32::MAX));
    }
}
