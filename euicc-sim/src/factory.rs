//! Loading of profiles onto a consumer card by its manufacturer.

use std::sync::Arc;

use profile::InstalledProfile as Content;
use rsp::ids::{Aid, Iccid};
use world::Fault;

use super::Card;
use super::consumer::ConsumerContext;
use super::kind::CardContext;
use super::m2m::factory::{content_of, of_package};

impl Card {
    /// Loads a profile package (TCA, DER) as the card manufacturer does, and enables the profile if
    /// `enabled` is true. There are no notifications for the installation, because no server knows
    /// the profile.
    ///
    /// # Errors
    /// Fails if the package cannot be installed, if the card already has the profile, or if the
    /// memory fails.
    pub fn load_in_factory(&mut self, package: &[u8], enabled: bool) -> Result<Iccid, Fault> {
        let (iccid, content) = content_of(&self.description, package).map_err(|why| factory_fault(&why))?;
        self.commit(|context| match context {
            CardContext::Consumer(context) => load(context, iccid, package.len(), content, enabled),
            CardContext::M2m(_) => Err(factory_fault("the profiles of an M2M eUICC are in its description")),
        })??;
        self.power_on();
        Ok(iccid)
    }
}

fn load(
    context: &mut ConsumerContext<'_>,
    iccid: Iccid,
    octets: usize,
    content: Content,
    enabled: bool,
) -> Result<(), Fault> {
    if context.persistent.has_iccid(iccid) {
        return Err(factory_fault(&format!("the card already has the profile {iccid}")));
    }
    let number = context.state.next_isd_p;
    let next = number.checked_add(1).ok_or_else(|| factory_fault("the card has no ISD-P number left"))?;
    let isd_p = Aid::isd_p(number);
    let mut profile = of_package(isd_p.clone(), iccid, octets, content);
    // An IoT card is delivered with a profile that can become the Fallback Profile.
    if context.state.iot.is_some() {
        profile.metadata.0.fallback_allowed = Some(true);
    }
    if profile.memory > context.free_memory() {
        return Err(factory_fault("the card has not enough memory"));
    }
    context.state.to_mut().next_isd_p = next;
    let persistent = context.persistent.to_mut();
    persistent.profiles.push(Arc::new(profile));
    if enabled {
        persistent.enabled = Some(isd_p);
    }
    Ok(())
}

fn factory_fault(why: &str) -> Fault {
    Fault::new("cannot load a profile in the factory", why, "`landfall profile show` explains a package")
}
