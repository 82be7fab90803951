//! A consumer card in its factory: profiles that are on it before anybody downloads one.

use std::sync::Arc;

use profile::{InstalledProfile as Content, Package};
use rsp::ids::{Aid, Iccid};
use world::Fault;

use super::authenticate::supports;
use super::m2m::factory::{iccid_of, of_package};
use super::{Card, Context};

impl Card {
    /// Puts a profile package (TCA, DER) onto the card as its manufacturer does, and enables it if that is wanted. Nobody is
    /// told of such a profile, as no server knows that it is there.
    ///
    /// # Errors
    /// The package cannot be installed, the profile is on the card already, or the memory fails.
    pub fn load_in_factory(&mut self, package: &[u8], enabled: bool) -> Result<Iccid, Fault> {
        let content = Package::decode(package).map_err(|why| cannot(&why.to_string()))?;
        let content = Content::of(&content, &self.description.package_capabilities())
            .map_err(|why| cannot(&why.to_string()))?;
        if !content.facts.aka.iter().all(supports) {
            return Err(cannot("it has an authentication algorithm that this card has not"));
        }
        let iccid = iccid_of(&content).ok_or_else(|| cannot("its ICCID is not one"))?;
        self.commit(|context| load(context, iccid, package.len(), content, enabled))??;
        self.power_on();
        Ok(iccid)
    }
}

fn load(
    context: &mut Context<'_>,
    iccid: Iccid,
    octets: usize,
    content: Content,
    enabled: bool,
) -> Result<(), Fault> {
    if context.persistent.profiles.iter().any(|profile| profile.iccid() == iccid) {
        return Err(cannot(&format!("the card has the profile {iccid} already")));
    }
    let number = context.persistent.next_isd_p;
    let next = number.checked_add(1).ok_or_else(|| cannot("the card has no number left for an ISD-P"))?;
    let isd_p = Aid::isd_p(number);
    let profile = of_package(isd_p.clone(), iccid, octets, content);
    let used = context.persistent.memory_used().saturating_add(profile.memory);
    if used > context.description.memory_size {
        return Err(cannot("there is no room for it"));
    }
    let persistent = context.persistent.to_mut();
    persistent.next_isd_p = next;
    persistent.profiles.push(Arc::new(profile));
    if enabled {
        persistent.enabled = Some(isd_p);
    }
    Ok(())
}

fn cannot(why: &str) -> Fault {
    Fault::new("cannot load a profile in the factory", why, "`landfall profile show` explains a package")
}
