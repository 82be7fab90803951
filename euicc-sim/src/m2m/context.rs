//! The view of an M2M eUICC that a function of SGP.02 gets.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use profile::Octets;
use rsp::ids::Aid;
use world::Fault;

use super::description::M2mDescription;
use super::ecasd::M2mEcasd;
use super::toolkit::settings::ToolkitSettings;
use crate::context::Context;
use crate::state::m2m::toolkit_state::ToolkitState;
use crate::state::m2m::{LifeCycle, State};

/// An M2M eUICC as seen by one command.
pub(crate) struct M2mContext<'a> {
    pub(crate) common: Context<'a>,
    pub(crate) factory: &'a FactoryData,
    /// Reads go through the `Cow`; `to_mut()` starts a change.
    pub(crate) state: Cow<'a, State>,
}

/// Data that the manufacturer sets and no command changes.
#[derive(Debug)]
pub(crate) struct FactoryData {
    pub(crate) ecasd: M2mEcasd,
    /// Security domain image number of the ISD-R.
    pub(crate) sdin: Octets,
    /// Security domain provider identification number of the ISD-R.
    pub(crate) sin: Octets,
    /// The timers and retry limits of the toolkit application.
    pub(crate) toolkit: ToolkitSettings,
}

impl FactoryData {
    /// Takes the data out of the description.
    ///
    /// # Errors
    /// Fails if a key cannot be read or does not match its certificate.
    pub(crate) fn take(description: &mut M2mDescription) -> Result<Self, Fault> {
        Ok(Self {
            ecasd: M2mEcasd::take(description)?,
            sdin: std::mem::take(&mut description.sdin),
            sin: std::mem::take(&mut description.sin),
            toolkit: description.toolkit.clone(),
        })
    }
}

impl<'a> M2mContext<'a> {
    /// Free non-volatile memory in octets.
    pub(crate) fn free_memory(&self) -> u32 {
        self.description.memory_size.saturating_sub(self.state.memory_used(&self.persistent))
    }

    /// The life cycle of the ISD-P with this AID, if it exists.
    pub(crate) fn life_cycle(&self, isd_p: &Aid) -> Option<LifeCycle> {
        self.state.life_cycle(&self.persistent, isd_p)
    }

    /// Connectivity parameters of the enabled profile.
    pub(crate) fn connectivity(&self) -> Option<Vec<u8>> {
        self.state.connectivity(&self.persistent, self.persistent.enabled.as_ref()?)
    }

    /// The timers and retry limits of the toolkit application.
    pub(crate) fn toolkit_settings(&self) -> &'a ToolkitSettings {
        &self.factory.toolkit
    }

    /// Changes the persistent state of the toolkit application.
    pub(crate) fn update_toolkit_state(&mut self, change: impl FnOnce(&mut ToolkitState)) {
        let mut changed = self.state.toolkit.clone();
        change(&mut changed);
        if changed != self.state.toolkit {
            self.state.to_mut().toolkit = changed;
        }
    }

    /// Removes the ISD-P with its profile and all references to it. The caller checks that this is
    /// permitted.
    pub(crate) fn remove_isd_p(&mut self, isd_p: &Aid) {
        self.persistent.to_mut().remove_profile(isd_p);
        self.volatile.m2m.0.remove(isd_p);
        let state = self.state.to_mut();
        state.isd_ps.retain(|known| known.aid != *isd_p);
        if state.emergency.as_ref() == Some(isd_p) {
            state.emergency = None;
        }
        if state.toolkit.fell_back_from.as_ref() == Some(isd_p) {
            state.toolkit.fell_back_from = None;
        }
        if state.kept.as_ref().is_some_and(|kept| kept.personalises.as_ref() == Some(isd_p)) {
            state.kept = None;
        }
    }
}

impl<'a> Deref for M2mContext<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        &self.common
    }
}

impl<'a> DerefMut for M2mContext<'a> {
    fn deref_mut(&mut self) -> &mut Context<'a> {
        &mut self.common
    }
}
