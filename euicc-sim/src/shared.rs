//! Data that the cards of one process share, to save memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use profile::element::{Application, Rfm, SecurityDomain};
use profile::{File, Interner, Octets};
use world::Fault;

use super::state::Persistent;
use super::trust::Trust;

/// Data shared between cards that are opened with the same value: file tables and file contents of
/// profile packages, security domains and applications, certificates of CIs and EUMs. One copy of
/// each item is kept for as long as a card needs it. A card cannot observe whether other cards
/// exist.
#[derive(Debug, Default)]
pub struct Shared {
    octets: Interner<Vec<u8>>,
    files: Interner<Vec<File>>,
    security_domains: Interner<Vec<SecurityDomain>>,
    rfm: Interner<Vec<Rfm>>,
    applications: Interner<Vec<Application>>,
    /// Trust anchors, by the certificates of the CIs.
    trust: Mutex<HashMap<Vec<Octets>, Arc<Trust>>>,
}

/// Maximum number of unused trust entries kept. A server may open cards on demand and close them
/// after use. The kept entries then avoid that the certificates of the CIs are verified again for
/// each card.
const KEPT_TRUST: usize = 8;

impl Shared {
    /// Shares the data of the profiles that were added to `changed` since `before`.
    pub(super) fn share(&self, changed: &mut Persistent, before: &Persistent) {
        let new = changed.profiles.iter_mut().filter(|profile| before.profile(&profile.isd_p).is_none());
        for profile in new {
            let content = &mut Arc::make_mut(profile).content;
            content.files.image_mut().share(&self.files, &self.octets);
            let facts = &mut content.facts;
            facts.security_domains = self.security_domains.share(std::mem::take(&mut facts.security_domains));
            facts.rfm = self.rfm.share(std::mem::take(&mut facts.rfm));
            facts.applications = self.applications.share(std::mem::take(&mut facts.applications));
        }
    }

    /// Returns the trust entry for these CIs. Calls `load` if no other card has it.
    pub(super) fn trust(
        &self,
        cis: Vec<Octets>,
        load: impl FnOnce(&[Octets]) -> Result<Trust, Fault>,
    ) -> Result<Arc<Trust>, Fault> {
        let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trust) = known.get(&cis) {
            return Ok(Arc::clone(trust));
        }
        let trust = Arc::new(load(&cis)?);
        if known.len() >= KEPT_TRUST {
            known.retain(|_, trust| Arc::strong_count(trust) > 1);
        }
        known.insert(cis, Arc::clone(&trust));
        Ok(trust)
    }

    /// Shares octets with other cards.
    pub(super) fn octets(&self, octets: Vec<u8>) -> Arc<Vec<u8>> {
        self.octets.share(Arc::new(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_loaded_once_and_few_unused_entries_are_kept() {
        let shared = Shared::default();
        let mut loads = 0;
        let mut trust = |ci: u8| {
            let load = |_: &[Octets]| {
                loads += 1;
                Trust::load(&[])
            };
            drop(shared.trust(vec![Octets::from(vec![ci])], load));
            loads
        };
        assert_eq!([trust(0), trust(0), trust(0)], [1, 1, 1]);
        // As many unused entries are kept as the limit permits.
        let entries = || 0..u8::try_from(KEPT_TRUST).unwrap();
        assert_eq!(entries().chain(entries()).map(&mut trust).last(), Some(KEPT_TRUST));
        assert_eq!((100..150).map(trust).last(), Some(KEPT_TRUST + 50));
        assert!(shared.trust.lock().unwrap().len() <= KEPT_TRUST);
    }
}
