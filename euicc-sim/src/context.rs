//! The view of the card that a command handler gets.
//!
//! [`Context`] has the part that all kinds of card have. The context of a kind contains it:
//! [`ConsumerContext`](crate::consumer::ConsumerContext) and
//! [`M2mContext`](crate::m2m::context::M2mContext).

use std::borrow::Cow;

use rsp::der::Asn1;
use rsp::finding::{self, Finding};
use world::World;

use super::StatusWord;
use super::description::CardDescription;
use super::state::{Persistent, Volatile};
use crate::state::channel::{Channel, Place, Selection};

/// The card as seen by one command. Its changes take effect only when the card commits them.
pub(crate) struct Context<'a> {
    pub(crate) description: &'a CardDescription,
    pub(crate) world: &'a World,
    /// Reads go through the `Cow`; `to_mut()` starts a change.
    pub(crate) persistent: Cow<'a, Persistent>,
    pub(crate) volatile: &'a mut Volatile,
    /// The channel on which the command came.
    pub(crate) channel: u8,
    /// The status word to return if the command succeeds with a warning.
    pub(crate) warning: Option<StatusWord>,
    /// True if the command comes from the IPA inside the card.
    pub(crate) is_from_ipae: bool,
}

/// The card refuses the octets: they cannot be decoded, or they deviate from the standard and the
/// card is strict.
pub(crate) struct Undecodable;

impl Context<'_> {
    /// Decodes data of another party. Accepted deviations are findings; a strict card refuses them.
    pub(crate) fn decode<T: Asn1>(&self, octets: &[u8]) -> Result<T, Undecodable> {
        let (decoded, findings) = finding::collect(|| T::from_peer(octets));
        let is_refused = self.description.strict && findings.iter().any(|found| !found.kind.is_extension());
        for Finding { kind, detail } in findings {
            finding::report(kind, || detail);
        }
        decoded.ok().filter(|_| !is_refused).ok_or(Undecodable)
    }

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
}
