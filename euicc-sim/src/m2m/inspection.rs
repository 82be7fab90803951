//! Access to the contents of a stored card, for a test system with access to its memory. Over the
//! card's interfaces, only the SM-SR can see them.

use rsp::ids::{Aid, Eid, Iccid};
use world::{Cells, Fault};

use crate::shared::Shared;
use crate::state::m2m::IsdP;
use crate::stored::{self, StoredKind};

/// An ISD-P of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIsdP {
    /// The AID of the ISD-P.
    pub isd_p: Aid,
    /// The ICCID of its profile, if it has one.
    pub iccid: Option<Iccid>,
    /// True if the profile is enabled.
    pub is_enabled: bool,
    /// True if the profile has the fallback attribute.
    pub is_fallback: bool,
    /// The connectivity parameters written by the SM-DP, which override those of the profile.
    pub connectivity: Option<Vec<u8>>,
}

/// Returns the ISD-Ps of the M2M eUICC with this memory, in the order of their creation.
///
/// # Errors
/// Fails if the memory does not belong to this card.
pub fn stored_isd_ps(cells: Cells, eid: Eid) -> Result<Vec<StoredIsdP>, Fault> {
    let Some((persistent, StoredKind::M2m(state))) = stored::load(cells, eid, &Shared::default())? else {
        return Ok(Vec::new());
    };
    let of = |IsdP { aid, connectivity, .. }: &IsdP| StoredIsdP {
        isd_p: aid.clone(),
        iccid: persistent.profile(aid).map(|profile| profile.iccid()),
        is_enabled: persistent.enabled.as_ref() == Some(aid),
        is_fallback: state.fallback.as_ref() == Some(aid),
        connectivity: connectivity.as_ref().map(|octets| octets.to_vec()),
    };
    Ok(state.isd_ps.iter().map(of).collect())
}
