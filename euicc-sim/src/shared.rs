//! What the cards of one process have in common, held once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use profile::element::{Application, Rfm, SecurityDomain};
use profile::{File, Interner, Octets};
use world::Fault;

use super::ecasd::Trust;
use super::state::Persistent;

/// What the cards that were opened among each other hold once, as long as one of them needs it: the file tables and
/// contents that packages made, their security domains and applications, the certificates of CIs and EUMs. No card sees of
/// another whether it is there.
#[derive(Debug, Default)]
pub struct Shared {
    octets: Interner<Vec<u8>>,
    files: Interner<Vec<File>>,
    security_domains: Interner<Vec<SecurityDomain>>,
    rfm: Interner<Vec<Rfm>>,
    applications: Interner<Vec<Application>>,
    /// By the certificates of the CIs.
    trust: Mutex<HashMap<Vec<Octets>, Arc<Trust>>>,
}

/// So much trust is kept though no card needs it just now: where cards are made when they are used, each would have the
/// certificates of its CIs checked again.
const KEPT_TRUST: usize = 8;

impl Shared {
    /// Shares what is new in `changed` since `before`: the profiles.
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

    /// Trust in these CIs; what `load` reads, if no other card has them.
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

    /// Octets that other cards have too.
    pub(super) fn octets(&self, octets: Vec<u8>) -> Arc<Vec<u8>> {
        self.octets.share(Arc::new(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_read_once_while_cards_come_and_go_and_little_of_it_is_kept_for_nobody() {
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
        assert_eq!((1..50).map(trust).last(), Some(50));
        assert!(shared.trust.lock().unwrap().len() <= KEPT_TRUST);
    }
}
