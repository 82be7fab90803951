//! The view of the card that a command handler gets.

use std::borrow::Cow;

use world::World;

use super::StatusWord;
use super::description::CardDescription;
use super::ecasd::Ecasd;
use super::m2m;
use super::state::{Persistent, Volatile};
use crate::m2m::toolkit::settings::Numbers;
use crate::state::channel::{Channel, Place, Selection};
use crate::state::m2m::toolkit_state::ToolkitState;
use rsp::ids::Aid;

/// The card as seen by one command. Its changes take effect only when the card commits them.
pub(crate) struct Context<'a> {
    pub(crate) description: &'a CardDescription,
    pub(crate) ecasd: &'a Ecasd,
    pub(crate) world: &'a World,
    /// Reads go through the `Cow`; `to_mut()` starts a change.
    pub(crate) persistent: Cow<'a, Persistent>,
    pub(crate) volatile: &'a mut Volatile,
    /// The channel on which the command came.
    pub(crate) channel: u8,
    /// The status word to return if the command succeeds with a warning.
    pub(crate) warning: Option<StatusWord>,
}

impl<'a> Context<'a> {
    /// The channel on which the command came; `None` if the command has closed it.
    pub(crate) fn channel(&mut self) -> Option<&mut Channel> {
        self.volatile.channels.get_mut(&self.channel)
    }

    /// The selection of the channel.
    pub(crate) fn selection(&self) -> &Selection {
        const NOTHING: &Selection = &Selection::Nothing;
        self.volatile.channels.get(&self.channel).map_or(NOTHING, |channel| &channel.selection)
    }

    /// Changes the selection of the channel. This ends a block transfer (TS 102 221 section 11.3).
    pub(crate) fn select(&mut self, selection: Selection) {
        if let Some(channel) = self.channel() {
            channel.selection = selection;
            channel.transfer = None;
        }
    }

    /// The position of the channel in the file system.
    pub(crate) fn place(&self) -> Result<Place, StatusWord> {
        match self.selection() {
            Selection::Files(place) => Ok(*place),
            _ => Err(StatusWord::CONDITIONS_NOT_SATISFIED),
        }
    }

    /// The state of an M2M eUICC. A consumer card has none.
    pub(crate) fn m2m(&self) -> Result<&crate::state::m2m::State, StatusWord> {
        self.persistent.m2m.as_deref().ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)
    }

    /// The state of an M2M eUICC, for changes.
    pub(crate) fn m2m_mut(&mut self) -> Result<&mut crate::state::m2m::State, StatusWord> {
        self.m2m()?;
        self.persistent.to_mut().m2m.as_deref_mut().ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)
    }

    /// The description of an M2M eUICC, without its key.
    pub(crate) fn m2m_description(&self) -> Result<&m2m::M2mDescription, StatusWord> {
        self.description.m2m.as_deref().ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)
    }

    /// The ECASD of an M2M eUICC.
    pub(crate) fn m2m_ecasd(&self) -> Result<&m2m::ecasd::M2mEcasd, StatusWord> {
        self.ecasd.m2m().ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)
    }

    /// Free non-volatile memory in octets.
    pub(crate) fn free_memory(&self) -> u32 {
        self.description.memory_size.saturating_sub(self.persistent.memory_used())
    }

    /// The enabled profile.
    pub(crate) fn profile(&self) -> Result<&profile::InstalledProfile, StatusWord> {
        let profile = self.persistent.enabled_profile().ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
        Ok(&profile.content)
    }

    /// The enabled profile, for changes.
    pub(crate) fn profile_mut(&mut self) -> Result<&mut profile::InstalledProfile, StatusWord> {
        let profile =
            self.persistent.to_mut().enabled_profile_mut().ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
        Ok(&mut profile.content)
    }

    /// The timers and retry limits of the toolkit application.
    pub(crate) fn toolkit_settings(&self) -> &'a Numbers {
        self.description.m2m.as_deref().map_or(Numbers::STANDARD, |m2m| &m2m.toolkit)
    }

    /// The persistent state of the toolkit application.
    pub(crate) fn toolkit_state(&self) -> &ToolkitState {
        const NOTHING: &ToolkitState = &ToolkitState::NEW;
        self.persistent.m2m.as_deref().map_or(NOTHING, |m2m| &m2m.toolkit)
    }

    /// Changes the persistent state of the toolkit application.
    pub(crate) fn update_toolkit_state(&mut self, change: impl FnOnce(&mut ToolkitState)) {
        let mut changed = self.toolkit_state().clone();
        change(&mut changed);
        if changed != *self.toolkit_state()
            && let Some(m2m) = &mut self.persistent.to_mut().m2m
        {
            m2m.toolkit = changed;
        }
    }

    /// Removes the ISD-P with its profile and all references to it. The caller checks that this is
    /// permitted.
    pub(crate) fn remove_isd_p(&mut self, isd_p: &Aid) {
        let persistent = self.persistent.to_mut();
        persistent.remove_profile(isd_p);
        if let Some(state) = &mut persistent.m2m {
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
        self.volatile.m2m.0.remove(isd_p);
    }
}
