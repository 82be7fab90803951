//! The persistent state of an M2M eUICC other than its profiles: key sets, ISD-Ps, attributes,
//! addresses.

pub(crate) mod session;
pub(crate) mod toolkit;
pub(crate) mod toolkit_state;

use profile::Octets;
use rsp::ids::Aid;
use serde::{Deserialize, Serialize};

use super::Persistent;
use crate::m2m::description::Addressing;
use crate::m2m::keys::{self, KeySet};
use toolkit_state::ToolkitState;

/// The M2M part of the persistent state. The profiles themselves are stored as in a consumer card;
/// a profile belongs to the ISD-P with its AID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Key sets of the ISD-R, by version.
    pub(crate) key_sets: Vec<KeySet>,
    /// In the order of their creation.
    pub(crate) isd_ps: Vec<IsdP>,
    /// The ISD-P whose profile has the fallback attribute.
    pub(crate) fallback: Option<Aid>,
    /// The ISD-P whose profile has the emergency profile attribute.
    pub(crate) emergency: Option<Aid>,
    /// The addresses of the SM-SR.
    pub(crate) addressing: Addressing,
    /// The number of the next default notification.
    pub(crate) next_notification: u16,
    /// Tokens of completed master deletes. The latest token is the last.
    pub(crate) used_tokens: Vec<Octets>,
    /// A key establishment in a chain of scripts that survives a reset.
    pub(crate) kept: Option<StoredEstablishment>,
    /// The persistent state of the toolkit application.
    #[serde(default)]
    pub(crate) toolkit: ToolkitState,
}

/// Maximum number of stored tokens. The oldest are discarded first. A discarded token could be
/// replayed, but a token is discarded only after this number of further master deletes, each of
/// which needs a valid token of an owner.
pub(crate) const MAX_USED_TOKENS: usize = 32;

/// A security domain for a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IsdP {
    pub(crate) aid: Aid,
    /// The memory granted to it in octets; `None` for no limit.
    pub(crate) granted: Option<u32>,
    /// Key sets of its SM-DP, by version.
    pub(crate) key_sets: Vec<KeySet>,
    /// The owner, as personalised by its SM-DP.
    pub(crate) identity: Identity,
    /// The parameters written by ES8.UpdateConnectivityParameters. They override those in the
    /// profile header.
    pub(crate) connectivity: Option<Octets>,
}

/// DGI 0070 of the personalisation of an ISD-P. A token must contain the same values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Tag 42.
    pub(crate) sin: Octets,
    /// Tag 45.
    pub(crate) sdin: Octets,
    /// Tag 5F20: application provider.
    pub(crate) provider: Octets,
}

/// Life cycle of an ISD-P, encoded as in 9F70: SGP.02 section 2.2.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LifeCycle {
    /// The ISD-P was created and has no keys.
    Selectable = 0x07,
    /// The ISD-P was created and has the keys of its SM-DP.
    Personalised = 0x0F,
    /// The ISD-P has a disabled profile.
    Disabled = 0x1F,
    /// The ISD-P has the enabled profile.
    Enabled = 0x3F,
}

/// POL1 of a profile. The assignment of the bits is unconfirmed; only [`Pol1::of`] depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pol1 {
    pub(crate) disable_not_allowed: bool,
    pub(crate) delete_not_allowed: bool,
    pub(crate) delete_when_disabled: bool,
}

impl Pol1 {
    /// Decodes `pol` of the profile header; `None` means no rules.
    pub(crate) fn of(pol: Option<&[u8]>) -> Self {
        let rules = pol.and_then(<[u8]>::first).copied().unwrap_or_default();
        Self {
            disable_not_allowed: rules & 0x01 != 0,
            delete_not_allowed: rules & 0x02 != 0,
            delete_when_disabled: rules & 0x04 != 0,
        }
    }
}

impl IsdP {
    /// A new ISD-P after INSTALL.
    pub(crate) fn new(aid: Aid, granted: Option<u32>) -> Self {
        Self { aid, granted, key_sets: Vec::new(), identity: Identity::default(), connectivity: None }
    }

    pub(crate) fn key_set(&self, version: u8) -> Option<&KeySet> {
        keys::find(&self.key_sets, version)
    }
}

impl State {
    pub(crate) fn key_set(&self, version: u8) -> Option<&KeySet> {
        keys::find(&self.key_sets, version)
    }

    pub(crate) fn key_set_mut(&mut self, version: u8) -> Option<&mut KeySet> {
        self.key_sets.iter_mut().find(|set| set.version == version)
    }

    pub(crate) fn isd_p(&self, aid: &Aid) -> Option<&IsdP> {
        self.isd_ps.iter().find(|isd_p| isd_p.aid == *aid)
    }

    pub(crate) fn isd_p_mut(&mut self, aid: &Aid) -> Option<&mut IsdP> {
        self.isd_ps.iter_mut().find(|isd_p| isd_p.aid == *aid)
    }

    /// Returns the next number for a default notification. Numbers wrap around after FFFF.
    pub(crate) fn take_notification_number(&mut self) -> u16 {
        let number = self.next_notification;
        self.next_notification = number.wrapping_add(1);
        number
    }
}

impl State {
    /// The life cycle of the ISD-P with this AID, if it exists.
    pub(crate) fn life_cycle(&self, common: &Persistent, aid: &Aid) -> Option<LifeCycle> {
        let isd_p = self.isd_p(aid)?;
        Some(match common.profile(aid) {
            Some(_) if common.enabled.as_ref() == Some(aid) => LifeCycle::Enabled,
            Some(_) => LifeCycle::Disabled,
            None if isd_p.key_sets.is_empty() => LifeCycle::Selectable,
            None => LifeCycle::Personalised,
        })
    }

    /// Memory used by all ISD-Ps in octets.
    pub(crate) fn memory_used(&self, common: &Persistent) -> u32 {
        self.isd_ps.iter().fold(0, |sum, isd_p| sum.saturating_add(isd_p.memory_used(common)))
    }

    /// Connectivity parameters of the profile in this ISD-P: TLVs A0 (SMS), A1 (HTTPS), A2 (CAT_TP).
    pub(crate) fn connectivity(&self, common: &Persistent, aid: &Aid) -> Option<Vec<u8>> {
        let written = self.isd_p(aid)?.connectivity.as_ref();
        let in_header =
            || common.profile(aid).and_then(|each| each.content.facts.connectivity_parameters.as_ref());
        written.or_else(in_header).map(|octets| octets.to_vec())
    }

    /// True if a script can address this application.
    pub(crate) fn is_target(&self, aid: &Aid) -> bool {
        aid.0 == Aid::ISD_R || aid.0 == Aid::ECASD || self.isd_p(aid).is_some()
    }
}

impl IsdP {
    /// Memory used by the ISD-P in octets: its granted memory, or the memory of its profile if that
    /// is larger.
    pub(crate) fn memory_used(&self, common: &Persistent) -> u32 {
        let used = common.profile(&self.aid).map_or(0, |profile| profile.memory);
        used.max(self.granted.unwrap_or_default())
    }
}

impl Persistent {
    /// The policy rules of the profile in this ISD-P.
    pub(crate) fn pol1(&self, aid: &Aid) -> Pol1 {
        let profile = self.profile(aid);
        Pol1::of(profile.and_then(|profile| profile.content.facts.pol.as_deref()))
    }
}

/// An establishment between its two STORE DATA commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Establishing {
    /// The public key from the certificate: 04 || X || Y.
    pub(crate) signer: Octets,
    pub(crate) challenge: Octets,
}

/// An establishment in a chain of scripts that survives a reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEstablishment {
    /// The ISD-P addressed by INSTALL for personalization.
    pub(crate) personalises: Option<Aid>,
    /// P2 of the next block of STORE DATA.
    pub(crate) next_block: u8,
    pub(crate) establishing: Establishing,
}
